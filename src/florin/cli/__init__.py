"""The `florin` command."""
