"""Notifier: whoever must act hears of it, once, and the ledger can prove it."""
