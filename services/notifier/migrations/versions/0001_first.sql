-- The first schema of notifier, as it was released; never edited: a change is a further migration.

CREATE TABLE agencies (
    code TEXT NOT NULL,
    name TEXT NOT NULL,
    name_en TEXT NOT NULL,
    parent TEXT,
    closed_on DATE,
    version INTEGER NOT NULL,
    PRIMARY KEY (code)
);

CREATE TABLE officers (
    officer_id TEXT NOT NULL,
    agency TEXT NOT NULL,
    name TEXT NOT NULL,
    title TEXT NOT NULL,
    email TEXT NOT NULL,
    role TEXT NOT NULL,
    regimes TEXT[] NOT NULL,
    active BOOLEAN NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (officer_id)
);

CREATE INDEX ix_officers_agency ON officers (agency);

CREATE TABLE regimes (
    code TEXT NOT NULL,
    regime_version INTEGER NOT NULL,
    name TEXT NOT NULL,
    name_en TEXT NOT NULL,
    legal_basis TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (code, regime_version)
);

CREATE TABLE requests (
    request_id TEXT NOT NULL,
    title TEXT NOT NULL,
    title_en TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (request_id)
);

CREATE TABLE obligations (
    obligation TEXT NOT NULL,
    agency TEXT NOT NULL,
    regime TEXT NOT NULL,
    regime_version INTEGER NOT NULL,
    period TEXT NOT NULL,
    deadline TIMESTAMP WITH TIME ZONE,
    standing TEXT,
    version INTEGER DEFAULT '0' NOT NULL,
    verdict_version INTEGER DEFAULT '0' NOT NULL,
    accepted_version INTEGER DEFAULT '0' NOT NULL,
    recorded_version INTEGER DEFAULT '0' NOT NULL,
    PRIMARY KEY (obligation)
);

CREATE TABLE notifications (
    id UUID NOT NULL,
    obligation TEXT NOT NULL,
    agency TEXT NOT NULL,
    regime TEXT NOT NULL,
    period TEXT NOT NULL,
    kind TEXT NOT NULL,
    step TEXT NOT NULL,
    officer_id TEXT NOT NULL,
    channel TEXT DEFAULT 'email' NOT NULL,
    recipient TEXT,
    message_id TEXT NOT NULL,
    submission_version INTEGER DEFAULT '0' NOT NULL,
    facts JSONB NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    settled_at TIMESTAMP WITH TIME ZONE,
    due_at TIMESTAMP WITH TIME ZONE,
    token UUID,
    lease_until TIMESTAMP WITH TIME ZONE,
    first_tried_at TIMESTAMP WITH TIME ZONE,
    attempts INTEGER DEFAULT '0' NOT NULL,
    refusals INTEGER DEFAULT '0' NOT NULL,
    unknowns INTEGER DEFAULT '0' NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT notifications_once UNIQUE (obligation, step, officer_id, channel),
    CONSTRAINT notifications_state CHECK (state IN ('pending','claimed','in_data','retry','sent','unknown','failed','cancelled','skipped')),
    CONSTRAINT notifications_kind CHECK (kind IN ('reminder','overdue','returned','escalation')),
    CONSTRAINT notifications_lease_whole CHECK ((state IN ('claimed','in_data')) = (token IS NOT NULL) AND (token IS NULL) = (lease_until IS NULL)),
    CONSTRAINT notifications_due CHECK (CASE WHEN state IN ('pending','retry') THEN due_at IS NOT NULL WHEN state = 'unknown' THEN TRUE ELSE due_at IS NULL END),
    CONSTRAINT notifications_reason CHECK (state NOT IN ('failed','cancelled','skipped','unknown') OR reason IS NOT NULL),
    CONSTRAINT notifications_recipient CHECK ((state = 'skipped') = (recipient IS NULL)),
    CONSTRAINT notifications_unknown_counted CHECK ((state = 'unknown') <= (unknowns > 0)),
    FOREIGN KEY(obligation) REFERENCES obligations (obligation),
    UNIQUE (message_id)
);

CREATE INDEX notifications_due_first ON notifications (due_at) WHERE due_at IS NOT NULL;

CREATE INDEX notifications_skipped ON notifications (agency) WHERE state = 'skipped';

CREATE INDEX notifications_by_officer ON notifications (officer_id, id);

CREATE INDEX notifications_stoppable ON notifications (obligation) WHERE state IN ('pending','retry','claimed','unknown','skipped');

CREATE INDEX notifications_unknown ON notifications (id) WHERE state = 'unknown';

CREATE INDEX notifications_leases ON notifications (lease_until) WHERE token IS NOT NULL;

CREATE INDEX notifications_by_agency ON notifications (agency, id);

CREATE TABLE attempts (
    token UUID NOT NULL,
    notification_id UUID NOT NULL,
    number INTEGER NOT NULL,
    worker TEXT NOT NULL,
    resend BOOLEAN NOT NULL,
    claimed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    in_data_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    outcome TEXT,
    stage TEXT,
    smtp_code INTEGER,
    answer TEXT,
    late BOOLEAN DEFAULT false NOT NULL,
    PRIMARY KEY (token),
    CONSTRAINT attempts_number UNIQUE (notification_id, number),
    CONSTRAINT attempts_outcome CHECK (outcome IN ('sent','retry','refused','unknown','failed','released','expired','cancelled')),
    CONSTRAINT attempts_ended CHECK ((outcome IS NULL) = (ended_at IS NULL)),
    FOREIGN KEY(notification_id) REFERENCES notifications (id)
);
