"""The registry: agencies, officers, regimes and requests; loaded from files, published, cached in each process."""
