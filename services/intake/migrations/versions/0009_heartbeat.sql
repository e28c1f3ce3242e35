-- By a gap in it intake notices that people could send nothing.
CREATE TABLE heartbeat (
    one_row boolean NOT NULL DEFAULT true,
    available_until timestamptz NOT NULL,
    PRIMARY KEY (one_row),
    CONSTRAINT heartbeat_is_one_row CHECK (one_row)
);
