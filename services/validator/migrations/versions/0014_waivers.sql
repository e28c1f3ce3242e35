CREATE TABLE waiver (
    waiver_id text PRIMARY KEY,
    regime text NOT NULL,
    rule text NOT NULL,
    agencies text[] NOT NULL,
    asked_by text NOT NULL,
    approved_by text NOT NULL,
    reason text NOT NULL,
    since date NOT NULL,
    until date NOT NULL,
    version integer NOT NULL
);

CREATE INDEX waiver_regime ON waiver (regime);

ALTER TABLE finding ADD COLUMN waived jsonb;

ALTER TABLE verdict ADD COLUMN waived integer NOT NULL DEFAULT 0;

ALTER TABLE verdict DROP CONSTRAINT verdict_counts;

ALTER TABLE verdict ADD CONSTRAINT verdict_counts CHECK (errors >= 0 AND warnings >= 0 AND waived >= 0);
