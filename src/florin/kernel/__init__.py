"""What every room stands on: database, money, ids, errors, clock, the coalescer."""
