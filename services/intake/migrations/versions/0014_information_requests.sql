CREATE TABLE information_requests (
    request_id text NOT NULL CONSTRAINT information_requests_pkey PRIMARY KEY,
    asker text NOT NULL,
    made_by text NOT NULL,
    idempotency_key text NOT NULL,
    request_sha256 bytea NOT NULL,
    stored_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT information_requests_one_row_per_idempotency_key UNIQUE (asker, idempotency_key),
    CONSTRAINT information_requests_sha256_is_32_bytes CHECK (octet_length(request_sha256) = 32)
);

CREATE INDEX registry_asked_by ON registry ((record ->> 'asked_by'), key) WHERE kind = 'request';

CREATE INDEX registry_addressees ON registry USING gin ((record -> 'agencies')) WHERE kind = 'request';
