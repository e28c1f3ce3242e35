-- The first schema of the board, as it was released; never edited: a change is a further migration.

CREATE TABLE accounts (
    person_id TEXT NOT NULL,
    password_hash TEXT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    failures INTEGER DEFAULT '0' NOT NULL,
    failed_at TIMESTAMP WITH TIME ZONE,
    closed_at TIMESTAMP WITH TIME ZONE,
    closed_why TEXT,
    PRIMARY KEY (person_id)
);

CREATE TABLE agencies (
    code TEXT NOT NULL,
    name TEXT NOT NULL,
    name_en TEXT NOT NULL,
    kind TEXT NOT NULL,
    parent TEXT,
    parents JSONB NOT NULL,
    opened_on DATE NOT NULL,
    closed_on DATE,
    version INTEGER NOT NULL,
    PRIMARY KEY (code)
);

CREATE TABLE invitations (
    sha256 BYTEA NOT NULL,
    person_id TEXT NOT NULL,
    made_by TEXT NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (sha256)
);

CREATE INDEX ix_invitations_person_id ON invitations (person_id);

CREATE TABLE notices (
    notification_id UUID NOT NULL,
    obligation TEXT NOT NULL,
    kind TEXT NOT NULL,
    step TEXT NOT NULL,
    officer_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    outcome TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (notification_id)
);

CREATE INDEX ix_notices_obligation ON notices (obligation);

CREATE TABLE obligations (
    obligation TEXT NOT NULL,
    agency TEXT NOT NULL,
    regime TEXT NOT NULL,
    period TEXT NOT NULL,
    owed BOOLEAN NOT NULL,
    standing TEXT NOT NULL,
    overdue BOOLEAN NOT NULL,
    on_time BOOLEAN,
    opens_at TIMESTAMP WITH TIME ZONE NOT NULL,
    deadline TIMESTAMP WITH TIME ZONE NOT NULL,
    answer_received_at TIMESTAMP WITH TIME ZONE,
    score NUMERIC,
    version INTEGER NOT NULL,
    document JSONB NOT NULL,
    PRIMARY KEY (obligation)
);

CREATE INDEX obligations_agency ON obligations (agency, deadline);

CREATE INDEX obligations_open ON obligations (agency, deadline) WHERE owed AND standing <> 'fulfilled';

CREATE INDEX obligations_regime ON obligations (regime, deadline);

CREATE TABLE officers (
    officer_id TEXT NOT NULL,
    agency TEXT NOT NULL,
    name TEXT NOT NULL,
    title TEXT NOT NULL,
    role TEXT NOT NULL,
    regimes TEXT[] NOT NULL,
    active BOOLEAN NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (officer_id)
);

CREATE INDEX ix_officers_agency ON officers (agency);

CREATE TABLE people (
    person_id TEXT NOT NULL,
    agency TEXT NOT NULL,
    name TEXT NOT NULL,
    title TEXT NOT NULL,
    offices JSONB NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (person_id)
);

CREATE TABLE regimes (
    code TEXT NOT NULL,
    regime_version INTEGER NOT NULL,
    name TEXT NOT NULL,
    name_en TEXT NOT NULL,
    frequency TEXT NOT NULL,
    legal_basis TEXT NOT NULL,
    effective_from DATE NOT NULL,
    replaces INTEGER,
    version INTEGER NOT NULL,
    PRIMARY KEY (code, regime_version)
);

CREATE TABLE reports (
    submission_id UUID NOT NULL,
    obligation TEXT NOT NULL,
    version INTEGER NOT NULL,
    officer_id TEXT NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    sha256 TEXT NOT NULL,
    nil BOOLEAN NOT NULL,
    nil_reason TEXT NOT NULL,
    declines TEXT,
    PRIMARY KEY (submission_id)
);

CREATE INDEX ix_reports_obligation ON reports (obligation);

CREATE TABLE requests (
    request_id TEXT NOT NULL,
    title TEXT NOT NULL,
    title_en TEXT NOT NULL,
    legal_basis TEXT NOT NULL,
    asked_by TEXT,
    version INTEGER NOT NULL,
    PRIMARY KEY (request_id)
);

CREATE TABLE sessions (
    sha256 BYTEA NOT NULL,
    session_id UUID NOT NULL,
    person_id TEXT NOT NULL,
    csrf TEXT NOT NULL,
    began_at TIMESTAMP WITH TIME ZONE NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    ended_why TEXT,
    client TEXT NOT NULL,
    PRIMARY KEY (sha256),
    UNIQUE (session_id)
);

CREATE INDEX ix_sessions_person_id ON sessions (person_id);

CREATE INDEX ix_sessions_seen_at ON sessions (seen_at);

CREATE TABLE sign_ins (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    person_id TEXT,
    what TEXT NOT NULL,
    address TEXT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT sign_ins_what CHECK (what IN ('in', 'wrong', 'locked', 'out', 'invited', 'password', 'revoked'))
);

CREATE INDEX sign_ins_person ON sign_ins (person_id, at);

CREATE TABLE steps (
    step_id UUID NOT NULL,
    obligation TEXT NOT NULL,
    kind TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    by TEXT NOT NULL,
    role TEXT NOT NULL,
    reason TEXT NOT NULL,
    until TIMESTAMP WITH TIME ZONE,
    version INTEGER,
    PRIMARY KEY (step_id)
);

CREATE INDEX ix_steps_obligation ON steps (obligation);

CREATE TABLE verdicts (
    submission_id UUID NOT NULL,
    obligation TEXT NOT NULL,
    version INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    decided_at TIMESTAMP WITH TIME ZONE NOT NULL,
    outcome TEXT NOT NULL,
    errors INTEGER NOT NULL,
    warnings INTEGER NOT NULL,
    findings JSONB NOT NULL,
    findings_truncated BOOLEAN NOT NULL,
    PRIMARY KEY (submission_id)
);

CREATE INDEX ix_verdicts_obligation ON verdicts (obligation);
