"""Payments, captures and refunds, from request to ledger."""
