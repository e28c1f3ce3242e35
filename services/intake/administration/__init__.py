"""The registry over HTTP, for those who administer it: read, changed, and what of it needs a look."""
