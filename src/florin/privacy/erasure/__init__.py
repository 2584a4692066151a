"""Erasing people, and the legal holds that forbid it."""
