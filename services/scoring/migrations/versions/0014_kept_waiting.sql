-- Until when intake could store reports, as it has told. No row: it has told nothing yet, and nothing waits for it.
CREATE TABLE intake_availability (
    one_row boolean NOT NULL DEFAULT true,
    available_until timestamptz NOT NULL,
    PRIMARY KEY (one_row),
    CONSTRAINT intake_availability_is_one_row CHECK (one_row)
);

CREATE TABLE intake_gaps (
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    cause text NOT NULL,
    examined boolean NOT NULL DEFAULT false,
    relief_id text,
    PRIMARY KEY (starts_at, ends_at),
    CONSTRAINT intake_gap_span CHECK (starts_at < ends_at),
    CONSTRAINT intake_gap_relief CHECK (relief_id IS NULL OR examined)
);

CREATE INDEX intake_gaps_unexamined ON intake_gaps (starts_at) WHERE NOT examined;

-- A row leaves when a relief is proposed for it.
CREATE TABLE late_verdicts (
    obligation text NOT NULL,
    report_version integer NOT NULL,
    due_at timestamptz NOT NULL,
    decided_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (obligation, report_version),
    CONSTRAINT late_verdict_is_late CHECK (due_at < decided_at)
);
