"""Tokens over HTTP: renewal, OAuth clients, and what others need to verify them."""
