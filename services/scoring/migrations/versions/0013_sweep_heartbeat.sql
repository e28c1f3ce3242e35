-- By a gap in it scoring notices that it stood still across deadlines.
CREATE TABLE sweep_heartbeat (
    one_row boolean NOT NULL DEFAULT true,
    swept_to timestamptz NOT NULL,
    system_at timestamptz NOT NULL,
    PRIMARY KEY (one_row),
    CONSTRAINT sweep_heartbeat_is_one_row CHECK (one_row)
);
