"""Limits that accounts share: the sum of their balances stays within bounds."""
