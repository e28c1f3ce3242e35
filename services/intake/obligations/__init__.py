"""What an agency owes, as scoring tells it."""
