-- Of attempts made before it is not told: each webhook's next one is.
ALTER TABLE webhooks
    ADD COLUMN attempted_at timestamptz,
    ADD COLUMN status integer,
    ADD COLUMN told_at timestamptz,
    ADD COLUMN told_attempted_at timestamptz,
    ADD COLUMN told_failing boolean NOT NULL DEFAULT false;

CREATE INDEX webhooks_to_tell ON webhooks (webhook_id) WHERE attempted_at IS DISTINCT FROM told_attempted_at;
