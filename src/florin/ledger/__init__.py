"""The double-entry ledger: accounts, transfers, entries, holds."""
