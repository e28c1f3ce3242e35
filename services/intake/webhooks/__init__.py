"""Webhooks: an agency registers where its system hears of receipts, verdicts, deadlines and scores."""
