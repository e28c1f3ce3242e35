CREATE TABLE ladders (
    name text NOT NULL,
    version integer NOT NULL,
    sha256 text NOT NULL,
    body text NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, version)
);

-- What is overdue already keeps the letters it has had: its escalation was over with them, and has no row here.
CREATE TABLE escalations (
    obligation text NOT NULL REFERENCES obligations (obligation),
    number integer NOT NULL,
    ladder text NOT NULL,
    ladder_version integer NOT NULL,
    opened_at timestamptz NOT NULL,
    next_at timestamptz,
    reason text NOT NULL DEFAULT '',
    resolved_at timestamptz,
    resolution text,
    document jsonb NOT NULL,
    PRIMARY KEY (obligation, number),
    CONSTRAINT escalations_moving CHECK ((resolved_at IS NULL) = (next_at IS NOT NULL OR reason <> '')),
    CONSTRAINT escalations_resolved CHECK ((resolved_at IS NULL) = (resolution IS NULL)),
    CONSTRAINT escalations_resolution CHECK (resolution IN ('answered', 'not_owed', 'not_overdue'))
);

CREATE INDEX escalations_due ON escalations (next_at) WHERE next_at IS NOT NULL;

CREATE UNIQUE INDEX escalations_open ON escalations (obligation) WHERE resolved_at IS NULL;

-- NULL: this column did not exist yet when the record arrived; no ladder of a kind of agency is for it till then.
ALTER TABLE agencies ADD COLUMN kind text;

ALTER TABLE notifications DROP CONSTRAINT notifications_kind;

ALTER TABLE notifications ADD CONSTRAINT notifications_kind CHECK (
    kind IN ('reminder','overdue','returned','escalation','named','certification','decision','withdrawal','resolved')
);
