"""Corrections: a transfer taken back and posted anew, both or neither."""
