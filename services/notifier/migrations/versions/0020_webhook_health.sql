-- Of those that fail now it is not known: they count from their next failure.
ALTER TABLE webhooks ADD COLUMN failing_since timestamptz;
