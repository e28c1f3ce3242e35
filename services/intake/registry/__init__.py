"""The registry: agencies, officers, regimes and requests; loaded from files, published, held in memory by the door."""
