"""Currency exchange through position accounts."""
