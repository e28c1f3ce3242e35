CREATE TABLE not_judged (
    submission_id uuid PRIMARY KEY,
    obligation text NOT NULL,
    version integer NOT NULL,
    verdict_id uuid NOT NULL UNIQUE,
    document jsonb NOT NULL,
    report bytea,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    tries integer NOT NULL DEFAULT 1,
    tried_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    judged_at timestamptz,
    CONSTRAINT not_judged_keeps_its_report CHECK ((judged_at IS NULL) = (report IS NOT NULL))
);

CREATE INDEX not_judged_open ON not_judged (parked_at) WHERE judged_at IS NULL;

CREATE INDEX not_judged_obligation ON not_judged (obligation);
