"""Reports as bytes: JSON and CSV as streams of any length, camt.053 and PDF whole."""
