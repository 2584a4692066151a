"""Personal data: retention, erasure, and keys that are turned."""
