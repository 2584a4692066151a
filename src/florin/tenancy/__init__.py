"""Tenants, business units, customers, partners, configuration and usage."""
