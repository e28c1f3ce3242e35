"""Short texts (SMS, Zalo) through HTTP gateways that a file describes."""
