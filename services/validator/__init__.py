"""Validator says of each submission, once and for ever, whether it is accepted or returned, and why."""
