"""Archives: months past their retention leave the tables that postings write to, and stay readable."""
