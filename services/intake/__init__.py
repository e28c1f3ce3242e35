"""Intake receives reports: a 2xx answer means that the report and its event are durably stored, once."""
