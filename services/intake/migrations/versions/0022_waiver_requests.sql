CREATE TABLE waiver_requests (
    waiver_id text PRIMARY KEY,
    agency text NOT NULL,
    made_by text NOT NULL,
    regime text NOT NULL,
    rule text NOT NULL,
    agencies text[] NOT NULL,
    reason text NOT NULL,
    since date NOT NULL,
    until date NOT NULL,
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL,
    decision text,
    decided_by text,
    decided_at timestamptz,
    decision_reason text,
    granted_since date,
    granted_until date,
    idempotency_key text NOT NULL,
    request_sha256 bytea NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT waiver_requests_one_row_per_idempotency_key UNIQUE (agency, idempotency_key),
    CONSTRAINT waiver_requests_sha256_is_32_bytes CHECK (octet_length(request_sha256) = 32),
    CONSTRAINT waiver_requests_decision CHECK (decision IN ('granted', 'refused')),
    CONSTRAINT waiver_requests_decided_whole
        CHECK (num_nonnulls(decision, decided_by, decided_at, decision_reason) IN (0, 4)),
    CONSTRAINT waiver_requests_decided_by_another CHECK (decided_by NOT IN (asked_by, made_by)),
    CONSTRAINT waiver_requests_granted_term CHECK (
        CASE WHEN decision = 'granted' THEN granted_since <= granted_until
        ELSE granted_since IS NULL AND granted_until IS NULL END
    )
);

CREATE INDEX waiver_requests_newest ON waiver_requests (asked_at, waiver_id);

CREATE INDEX waiver_requests_of_agency ON waiver_requests (agency, asked_at);
