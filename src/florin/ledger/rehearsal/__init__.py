"""Dry runs: the ledger's own functions in a transaction that is rolled back."""
