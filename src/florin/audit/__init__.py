"""Who changed what, when, from where and why."""
