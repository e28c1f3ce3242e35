-- '': the obligation's policy comes with its next event; until then letters say nothing of points.

CREATE TABLE policies (
    policy_version text PRIMARY KEY,
    version integer NOT NULL,
    effective_from date NOT NULL,
    timeliness_full numeric NOT NULL,
    off_per_working_day numeric NOT NULL,
    timeliness_floor numeric NOT NULL,
    timeliness_overdue numeric NOT NULL,
    off_within_grace numeric,
    completeness_full numeric NOT NULL,
    clauses jsonb NOT NULL
);

ALTER TABLE obligations ADD COLUMN policy_version text NOT NULL DEFAULT '';
