"""Retention: what is old enough goes, class by class; the books stay."""
