"""Signed receipts (biên nhận): an agency can prove to anyone, without this system, what was received and when."""
