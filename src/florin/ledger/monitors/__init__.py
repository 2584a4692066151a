"""Conditions on balances. Whoever posts across one writes the event, in the same transaction."""
