"""A service as a process: what starts and stops in which order, its command line, its tickers, the files that it is given."""
