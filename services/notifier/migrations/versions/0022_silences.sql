ALTER TABLE silences ADD COLUMN idempotency_key text;

-- NULL: made before there were digests.
ALTER TABLE silences ADD COLUMN sha256 text;

ALTER TABLE silences ADD CONSTRAINT silences_once UNIQUE (made_by, idempotency_key);
