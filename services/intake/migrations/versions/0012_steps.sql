ALTER TABLE obligations
    ADD COLUMN locks_at timestamptz,
    ADD COLUMN unlocked_until timestamptz;

CREATE TABLE steps (
    step_id uuid NOT NULL CONSTRAINT steps_pkey PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT steps_number_key UNIQUE,
    obligation text NOT NULL,
    agency text NOT NULL,
    kind text NOT NULL,
    at timestamptz NOT NULL,
    taken_by text NOT NULL,
    role text NOT NULL,
    reason text NOT NULL,
    since timestamptz,
    until timestamptz,
    effect text,
    answers uuid,
    submission_id uuid,
    idempotency_key text NOT NULL,
    request_sha256 bytea NOT NULL,
    stored_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT steps_one_row_per_idempotency_key UNIQUE (taken_by, idempotency_key),
    CONSTRAINT steps_request_sha256_is_32_bytes CHECK (octet_length(request_sha256) = 32)
);

CREATE INDEX steps_of_obligation ON steps (obligation, number);

CREATE INDEX steps_of_submission ON steps (submission_id, kind);

CREATE UNIQUE INDEX steps_one_answer ON steps (answers) WHERE answers IS NOT NULL;

-- What somebody has done is never changed; what he did wrong is answered by a later step.
CREATE FUNCTION steps_are_never_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'steps are never changed or deleted'; END $$;

CREATE TRIGGER steps_are_never_changed BEFORE UPDATE OR DELETE ON steps
    FOR EACH ROW EXECUTE FUNCTION steps_are_never_changed();
