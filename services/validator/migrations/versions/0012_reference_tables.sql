CREATE TABLE reference_table (
    key text PRIMARY KEY,
    code text NOT NULL,
    table_version integer NOT NULL,
    version integer NOT NULL,
    effective_from date NOT NULL,
    checksum text NOT NULL,
    columns jsonb NOT NULL,
    rows jsonb NOT NULL,
    learned_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT reference_table_code_version UNIQUE (code, table_version)
);

CREATE INDEX reference_table_in_force ON reference_table (code, effective_from, table_version);

-- NULL: the regime was kept before its rules could look anything up.
ALTER TABLE regime ADD COLUMN looks_up text[];

ALTER TABLE verdict ADD COLUMN looked_up jsonb NOT NULL DEFAULT '[]';
