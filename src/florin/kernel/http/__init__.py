"""HTTP as every room speaks it: the gate in front, calls, problems, lean routes."""
