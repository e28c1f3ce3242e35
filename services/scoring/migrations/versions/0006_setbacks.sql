-- One period that cannot be planned, or one obligation that cannot be marked, rests here while the others go on.
CREATE TABLE setbacks (
    sweep text NOT NULL,
    subject text NOT NULL,
    error text NOT NULL,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    tries integer NOT NULL DEFAULT 1,
    next_try_at timestamptz NOT NULL DEFAULT clock_timestamp() + interval '1 minute',
    PRIMARY KEY (sweep, subject),
    CONSTRAINT setback_sweep CHECK (sweep IN ('plan', 'generate', 'due_soon', 'overdue', 'withdraw'))
);
