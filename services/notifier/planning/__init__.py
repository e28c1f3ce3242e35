"""What an event about an obligation means for whom: reminders, notices, escalations."""
