"""The chart of accounts: what codes mean, and what binds the accounts below them."""
