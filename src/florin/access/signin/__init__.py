"""Signing in: passwords, one-time codes, second factors, and what happens to those who guess."""
