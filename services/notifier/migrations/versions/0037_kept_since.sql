-- Versions that are here already have been here for long.
ALTER TABLE regimes ADD COLUMN kept_since timestamptz;

UPDATE regimes SET kept_since = '1970-01-01T00:00:00Z';
