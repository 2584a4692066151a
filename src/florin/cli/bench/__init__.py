"""`florin bench`: what Florin does against the same SQL called once per item, as ratios of one run."""
