"""How a notice travels to a person: by mail."""
