"""What is owed, by when, and how it stands: generated ahead, resolved on the spot, swept when a moment has come."""
