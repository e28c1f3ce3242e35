CREATE TABLE webhook_endpoints (
    webhook_id uuid PRIMARY KEY,
    agency text NOT NULL,
    url text NOT NULL,
    events text[] NOT NULL,
    contact text NOT NULL,
    state text NOT NULL,
    secrets jsonb NOT NULL,
    version integer NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    test_id uuid,
    test_at timestamptz,
    CONSTRAINT webhook_endpoints_state CHECK (state IN ('active', 'paused', 'deleted')),
    CONSTRAINT webhook_endpoints_version CHECK (version > 0),
    CONSTRAINT webhook_endpoints_test CHECK ((test_id IS NULL) = (test_at IS NULL)),
    CONSTRAINT webhook_endpoints_contact CHECK ((state = 'deleted') = (contact = ''))
);

CREATE INDEX webhook_endpoints_of_agency ON webhook_endpoints (agency, webhook_id) WHERE state <> 'deleted';

CREATE TABLE webhook_stops (
    webhook_id uuid PRIMARY KEY,
    version integer NOT NULL,
    at timestamptz NOT NULL,
    reason text NOT NULL
);

CREATE TABLE webhook_orders (
    made_by text NOT NULL,
    idempotency_key text NOT NULL,
    request_sha256 bytea NOT NULL,
    webhook_id uuid NOT NULL,
    generation integer,
    test_id uuid,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (made_by, idempotency_key),
    CONSTRAINT webhook_orders_sha256_is_32_bytes CHECK (octet_length(request_sha256) = 32),
    CONSTRAINT webhook_orders_of_one_thing CHECK ((generation IS NULL) <> (test_id IS NULL))
);
