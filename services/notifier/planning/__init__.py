"""Which notices an event calls for, and to whom: reminders, overdue and returned notices, escalations, decisions."""
