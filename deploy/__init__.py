"""Everything that runs the four services somewhere; no service imports it."""
