-- NULL: given by command, or reported before keys were asked for.
ALTER TABLE bounces ADD COLUMN idempotency_key text;

-- of the notification as it was reported
ALTER TABLE bounces ADD COLUMN sha256 text;

-- what became failed then, for whoever repeats the report
ALTER TABLE bounces ADD COLUMN notices uuid[] NOT NULL DEFAULT '{}';

ALTER TABLE bounces ADD CONSTRAINT bounces_once UNIQUE (reported_by, idempotency_key);
