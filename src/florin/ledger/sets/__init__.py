"""Sets: transfers that stand or fall together."""
