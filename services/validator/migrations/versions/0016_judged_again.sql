ALTER TABLE verdict ADD COLUMN revision integer NOT NULL DEFAULT 1;

CREATE TABLE earlier_verdict (
    verdict_id uuid PRIMARY KEY,
    submission_id uuid NOT NULL,
    obligation text NOT NULL,
    revision integer NOT NULL,
    document jsonb NOT NULL,
    CONSTRAINT earlier_verdict_once_per_revision UNIQUE (submission_id, revision)
);

CREATE INDEX earlier_verdict_obligation ON earlier_verdict (obligation);

-- Reports accepted before are judged again by nothing: what they said is not kept here.
CREATE TABLE looking (
    submission_id uuid PRIMARY KEY,
    obligation text NOT NULL,
    content jsonb NOT NULL,
    said jsonb NOT NULL
);

CREATE INDEX looking_obligation ON looking (obligation);

CREATE TABLE looked_at (
    obligation text NOT NULL,
    submission_id uuid NOT NULL REFERENCES looking ON DELETE CASCADE,
    PRIMARY KEY (obligation, submission_id)
);

CREATE INDEX looked_at_submission ON looked_at (submission_id);

CREATE TABLE judge_again (
    submission_id uuid PRIMARY KEY,
    after_xid bigint
);
