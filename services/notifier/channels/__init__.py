"""How a notice travels to a person: by mail, or by a short text through a gateway; webhooks to systems."""
