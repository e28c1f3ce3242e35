"""Everything that runs the five services somewhere; no service imports it."""
