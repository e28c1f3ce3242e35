"""A service's own database: how transactions open, how it migrates, and the tables every service has."""
