"""Accounts that are to return to zero: what on them has not, for how long, and what left it there."""
