"""What an agency sends as a report: read without losing a digit, and within limits, the same wherever it is read."""
