"""The audit trail: who changed what in intake, when, from what to what, and why."""
