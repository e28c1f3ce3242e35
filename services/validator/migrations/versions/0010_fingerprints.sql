-- Reports accepted before have no fingerprint: nothing is compared with them.
CREATE TABLE fingerprint (
    submission_id uuid NOT NULL,
    section text NOT NULL,
    obligation text NOT NULL,
    agency text NOT NULL,
    version integer NOT NULL,
    received_at timestamptz NOT NULL,
    buckets bytea NOT NULL,
    bands bigint[] NOT NULL,
    PRIMARY KEY (submission_id, section)
);

CREATE INDEX fingerprint_obligation ON fingerprint (obligation);

CREATE INDEX fingerprint_bands ON fingerprint USING gin (bands);

-- Submissions of other agencies that a text was found to be a near-copy of; shown to nobody.
ALTER TABLE verdict ADD COLUMN resembles jsonb NOT NULL DEFAULT '[]';
