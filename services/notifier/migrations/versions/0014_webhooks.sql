CREATE TABLE webhooks (
    webhook_id uuid PRIMARY KEY,
    agency text NOT NULL,
    url text NOT NULL,
    events text[] NOT NULL,
    state text NOT NULL,
    secrets jsonb NOT NULL,
    version integer NOT NULL,
    failures integer NOT NULL DEFAULT 0,
    rest_until timestamptz,
    stopped_version integer,
    delivered_at timestamptz
);

CREATE INDEX webhooks_of_agency ON webhooks (agency) WHERE state <> 'deleted';

CREATE INDEX webhooks_in_trouble ON webhooks (webhook_id) WHERE failures > 0 OR stopped_version IS NOT NULL;

CREATE TABLE webhook_deliveries (
    delivery_id uuid PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY,
    webhook_id uuid NOT NULL REFERENCES webhooks (webhook_id),
    event text NOT NULL,
    cause text NOT NULL,
    occurred_at timestamptz NOT NULL,
    body text NOT NULL,
    created_at timestamptz NOT NULL,
    state text NOT NULL,
    due_at timestamptz,
    token uuid,
    lease_until timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    settled_at timestamptz,
    reason text,
    CONSTRAINT webhook_deliveries_once UNIQUE (webhook_id, cause),
    CONSTRAINT webhook_deliveries_number_key UNIQUE (number),
    CONSTRAINT webhook_deliveries_state
        CHECK (state IN ('pending', 'claimed', 'retry', 'delivered', 'failed', 'cancelled')),
    CONSTRAINT webhook_deliveries_lease_whole
        CHECK ((state = 'claimed') = (token IS NOT NULL) AND (token IS NULL) = (lease_until IS NULL)),
    CONSTRAINT webhook_deliveries_due CHECK ((state IN ('pending', 'retry')) = (due_at IS NOT NULL)),
    CONSTRAINT webhook_deliveries_reason CHECK (state NOT IN ('failed', 'cancelled') OR reason IS NOT NULL)
);

CREATE INDEX webhook_deliveries_due_first ON webhook_deliveries (webhook_id, due_at) WHERE due_at IS NOT NULL;

CREATE INDEX webhook_deliveries_leases ON webhook_deliveries (lease_until) WHERE token IS NOT NULL;

CREATE INDEX webhook_deliveries_tokens ON webhook_deliveries (token) WHERE token IS NOT NULL;

CREATE INDEX webhook_deliveries_listed ON webhook_deliveries (webhook_id, number);

CREATE INDEX webhook_deliveries_oldest ON webhook_deliveries (created_at);

CREATE TABLE webhook_attempts (
    token uuid PRIMARY KEY,
    delivery_id uuid NOT NULL REFERENCES webhook_deliveries (delivery_id) ON DELETE CASCADE,
    number integer NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    outcome text NOT NULL,
    status integer,
    answer text NOT NULL,
    CONSTRAINT webhook_attempts_outcome CHECK (outcome IN ('delivered', 'refused', 'away', 'gone'))
);

CREATE INDEX webhook_attempts_of_delivery ON webhook_attempts (delivery_id, number);
