ALTER TABLE regime ADD COLUMN replaces TEXT;

CREATE INDEX regime_replaces ON regime (replaces) WHERE replaces IS NOT NULL;

