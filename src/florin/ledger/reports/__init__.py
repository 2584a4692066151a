"""What the books say of a period: statements, journal, general ledger, trial balance."""
