"""A service as a process: what starts and stops in which order, its command line, tickers and files."""
