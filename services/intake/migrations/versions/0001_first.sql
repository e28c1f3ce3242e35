-- The first schema of intake, as it was released; never edited: a change is a further migration.

CREATE TABLE registry_revision (
    one_row BOOLEAN DEFAULT true NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (one_row),
    CONSTRAINT registry_revision_is_one_row CHECK (one_row)
);

CREATE TABLE registry (
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    version INTEGER NOT NULL,
    revision BIGINT NOT NULL,
    record JSONB NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (key),
    CONSTRAINT registry_kind CHECK (kind IN ('agency', 'officer', 'regime', 'request')),
    CONSTRAINT registry_key_has_kind CHECK (starts_with(key, kind || '/')),
    CONSTRAINT registry_version_positive CHECK (version > 0)
);

CREATE INDEX ix_registry_revision ON registry (revision);

CREATE TABLE api_keys (
    key_id TEXT NOT NULL,
    agency TEXT NOT NULL,
    sha256 BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    last_used_at TIMESTAMP WITH TIME ZONE,
    revision BIGINT NOT NULL,
    PRIMARY KEY (key_id),
    CONSTRAINT api_keys_sha256_is_32_bytes CHECK (octet_length(sha256) = 32),
    UNIQUE (sha256)
);

CREATE INDEX ix_api_keys_revision ON api_keys (revision);

CREATE INDEX ix_api_keys_agency ON api_keys (agency);

CREATE TABLE obligations (
    obligation TEXT NOT NULL,
    last_version INTEGER NOT NULL,
    PRIMARY KEY (obligation),
    CONSTRAINT obligations_version CHECK (last_version >= 0)
);

CREATE TABLE submissions (
    submission_id UUID NOT NULL,
    obligation TEXT NOT NULL,
    version INTEGER NOT NULL,
    agency TEXT NOT NULL,
    regime TEXT NOT NULL,
    regime_version INTEGER NOT NULL,
    period TEXT NOT NULL,
    officer_id TEXT NOT NULL,
    nil BOOLEAN NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    idempotency_key TEXT NOT NULL,
    sha256 BYTEA NOT NULL,
    content_sha256 BYTEA NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (submission_id),
    CONSTRAINT submissions_one_row_per_version UNIQUE (obligation, version),
    CONSTRAINT submissions_one_row_per_idempotency_key UNIQUE (agency, idempotency_key),
    CONSTRAINT submissions_version_positive CHECK (version > 0),
    CONSTRAINT submissions_sha256_is_32_bytes CHECK (octet_length(sha256) = 32),
    CONSTRAINT submissions_content_sha256_is_32_bytes CHECK (octet_length(content_sha256) = 32)
);

CREATE INDEX submissions_of_agency ON submissions (agency, submission_id);

CREATE TABLE verdicts (
    submission_id UUID NOT NULL,
    verdict_id UUID NOT NULL,
    outcome TEXT NOT NULL,
    decided_at TIMESTAMP WITH TIME ZONE NOT NULL,
    errors INTEGER NOT NULL,
    warnings INTEGER NOT NULL,
    findings JSONB NOT NULL,
    findings_truncated BOOLEAN NOT NULL,
    PRIMARY KEY (submission_id),
    CONSTRAINT verdicts_outcome CHECK (outcome IN ('accepted', 'returned'))
);

CREATE TABLE standings (
    obligation TEXT NOT NULL,
    version INTEGER NOT NULL,
    agency TEXT NOT NULL,
    regime TEXT NOT NULL,
    regime_version INTEGER NOT NULL,
    period TEXT NOT NULL,
    deadline TIMESTAMP WITH TIME ZONE NOT NULL,
    cutoff_from DATE,
    cutoff_to DATE,
    standing TEXT NOT NULL,
    overdue BOOLEAN,
    on_time BOOLEAN,
    score NUMERIC,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (obligation),
    CONSTRAINT standings_standing CHECK (standing IN ('nothing_sent', 'awaiting_verdict', 'returned', 'fulfilled'))
);

CREATE INDEX standings_of_agency ON standings (agency, deadline, obligation);
