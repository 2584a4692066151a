"""Customers: who pays. What is personal of them is sealed under a key of their own."""
