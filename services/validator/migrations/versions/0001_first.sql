-- The first schema of validator, as it was released; never edited: a change is a further migration.

CREATE TABLE regime (
    key TEXT NOT NULL,
    code TEXT NOT NULL,
    regime_version INTEGER NOT NULL,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    name_en TEXT NOT NULL,
    form JSONB NOT NULL,
    learned_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (key),
    CONSTRAINT regime_code_version UNIQUE (code, regime_version)
);

CREATE TABLE verdict (
    verdict_id UUID NOT NULL,
    submission_id UUID NOT NULL,
    obligation TEXT NOT NULL,
    agency TEXT NOT NULL,
    regime TEXT NOT NULL,
    regime_version INTEGER NOT NULL,
    period TEXT NOT NULL,
    version INTEGER NOT NULL,
    officer_id TEXT NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    decided_at TIMESTAMP WITH TIME ZONE NOT NULL,
    nil BOOLEAN NOT NULL,
    outcome TEXT NOT NULL,
    errors INTEGER NOT NULL,
    warnings INTEGER NOT NULL,
    required_items INTEGER NOT NULL,
    present_items INTEGER NOT NULL,
    findings_truncated BOOLEAN NOT NULL,
    PRIMARY KEY (verdict_id),
    CONSTRAINT verdict_once_per_submission UNIQUE (submission_id),
    CONSTRAINT verdict_once_per_version UNIQUE (obligation, version),
    CONSTRAINT verdict_outcome CHECK (outcome IN ('accepted', 'returned')),
    CONSTRAINT verdict_accepted_means_no_error CHECK ((outcome = 'accepted') = (errors = 0)),
    CONSTRAINT verdict_counts CHECK (errors >= 0 AND warnings >= 0),
    CONSTRAINT verdict_items CHECK (present_items BETWEEN 0 AND required_items)
);

CREATE TABLE finding (
    verdict_id UUID NOT NULL,
    position INTEGER NOT NULL,
    code TEXT NOT NULL,
    tier TEXT NOT NULL,
    severity TEXT NOT NULL,
    path TEXT NOT NULL,
    provided TEXT,
    expected TEXT,
    difference TEXT,
    message TEXT NOT NULL,
    message_en TEXT NOT NULL,
    fix TEXT NOT NULL,
    fix_en TEXT NOT NULL,
    PRIMARY KEY (verdict_id, position),
    CONSTRAINT finding_severity CHECK (severity IN ('error', 'warning')),
    FOREIGN KEY(verdict_id) REFERENCES verdict (verdict_id)
);
