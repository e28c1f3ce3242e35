"""What is owed, by when, and how it stands: generated ahead, resolved when a report comes first, swept when due."""
