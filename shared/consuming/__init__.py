"""Every event is applied once, in order per key, or kept as a dead letter; nothing stops its neighbours."""
