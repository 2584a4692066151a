"""Payment providers, one folder each. `provider.py` says what every one of them can do."""
