"""Ways in which a notification reaches a person."""
