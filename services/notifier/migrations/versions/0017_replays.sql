ALTER TABLE webhook_deliveries
    ADD COLUMN replays integer NOT NULL DEFAULT 0,
    ADD COLUMN attempts_before integer NOT NULL DEFAULT 0;

DROP INDEX webhook_deliveries_listed;

CREATE INDEX webhook_deliveries_listed ON webhook_deliveries (webhook_id, created_at, number);

CREATE INDEX webhook_deliveries_failed ON webhook_deliveries (webhook_id, created_at, number) WHERE state = 'failed';

CREATE TABLE webhook_replays (
    replay_id uuid PRIMARY KEY,
    webhook_id uuid NOT NULL REFERENCES webhooks (webhook_id),
    made_by text NOT NULL,
    idempotency_key text NOT NULL,
    request_sha256 bytea NOT NULL,
    wanted jsonb NOT NULL,
    messages integer NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT webhook_replays_once UNIQUE (made_by, idempotency_key),
    CONSTRAINT webhook_replays_sha256_is_32_bytes CHECK (octet_length(request_sha256) = 32)
);

CREATE INDEX webhook_replays_latest ON webhook_replays (webhook_id, at);
