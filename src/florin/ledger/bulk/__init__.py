"""Bulk: files of accounts, opening balances and history in, and the books out again, as CSV or Parquet."""
