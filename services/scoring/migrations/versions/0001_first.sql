-- The first schema of scoring, as it was released; never edited: a change is a further migration.

CREATE TABLE agencies (
    code TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    name_en TEXT NOT NULL,
    parent TEXT,
    opened_on DATE NOT NULL,
    closed_on DATE,
    version INTEGER NOT NULL,
    planned BOOLEAN DEFAULT false NOT NULL,
    PRIMARY KEY (code)
);

CREATE INDEX agencies_unplanned ON agencies (code) WHERE NOT planned;

CREATE TABLE regimes (
    code TEXT NOT NULL,
    regime_version INTEGER NOT NULL,
    name TEXT NOT NULL,
    name_en TEXT NOT NULL,
    frequency TEXT NOT NULL,
    effective_from DATE NOT NULL,
    effective_to DATE,
    submitter_kinds TEXT[] NOT NULL,
    submitters TEXT[] NOT NULL,
    cutoff JSONB NOT NULL,
    deadline JSONB NOT NULL,
    remind_working_days INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (code, regime_version)
);

CREATE TABLE officers (
    officer_id TEXT NOT NULL,
    agency TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    regimes TEXT[] NOT NULL,
    active BOOLEAN NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (officer_id)
);

CREATE INDEX officers_by_agency ON officers (agency, officer_id);

CREATE TABLE requests (
    request_id TEXT NOT NULL,
    regime TEXT NOT NULL,
    title TEXT NOT NULL,
    title_en TEXT NOT NULL,
    issued_at TIMESTAMP WITH TIME ZONE NOT NULL,
    deadline TIMESTAMP WITH TIME ZONE NOT NULL,
    agencies TEXT[] NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (request_id)
);

CREATE TABLE calendar_versions (
    version TEXT NOT NULL,
    revision INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    zone TEXT NOT NULL,
    source TEXT NOT NULL,
    first_year INTEGER NOT NULL,
    last_year INTEGER NOT NULL,
    loaded_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (version),
    CONSTRAINT calendar_years CHECK (first_year <= last_year),
    UNIQUE (revision)
);

CREATE TABLE generation (
    one_row BOOLEAN DEFAULT true NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    complete_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (one_row),
    CONSTRAINT generation_is_one_row CHECK (one_row)
);

CREATE TABLE plans (
    regime TEXT NOT NULL,
    period TEXT NOT NULL,
    regime_version INTEGER NOT NULL,
    calendar_version TEXT NOT NULL,
    obligations INTEGER NOT NULL,
    planned_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (regime, period)
);

CREATE TABLE obligations (
    obligation TEXT NOT NULL,
    agency TEXT NOT NULL,
    regime TEXT NOT NULL,
    regime_version INTEGER NOT NULL,
    period TEXT NOT NULL,
    cutoff_from DATE,
    cutoff_to DATE,
    opens_at TIMESTAMP WITH TIME ZONE NOT NULL,
    deadline TIMESTAMP WITH TIME ZONE NOT NULL,
    remind_at TIMESTAMP WITH TIME ZONE NOT NULL,
    calendar_version TEXT NOT NULL,
    policy_version TEXT NOT NULL,
    generated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    version INTEGER NOT NULL,
    owed BOOLEAN NOT NULL,
    received_version INTEGER DEFAULT 0 NOT NULL,
    first_received_at TIMESTAMP WITH TIME ZONE,
    last_received_at TIMESTAMP WITH TIME ZONE,
    on_time_version INTEGER DEFAULT 0 NOT NULL,
    decided_version INTEGER DEFAULT 0 NOT NULL,
    accepted_version INTEGER,
    accepted_submission_id UUID,
    accepted_received_at TIMESTAMP WITH TIME ZONE,
    measured_version INTEGER,
    measured_accepted BOOLEAN,
    required_items INTEGER,
    present_items INTEGER,
    officer_id TEXT,
    due_soon_at TIMESTAMP WITH TIME ZONE,
    overdue_at TIMESTAMP WITH TIME ZONE,
    standing TEXT DEFAULT 'nothing_sent' NOT NULL,
    on_time BOOLEAN,
    score NUMERIC DEFAULT 0 NOT NULL,
    lines JSONB DEFAULT '[]' NOT NULL,
    line_count INTEGER DEFAULT 0 NOT NULL,
    PRIMARY KEY (obligation),
    CONSTRAINT obligation_is_its_key CHECK (obligation = agency || '/' || regime || '/' || period),
    CONSTRAINT obligation_standing CHECK (standing IN ('nothing_sent', 'awaiting_verdict', 'returned', 'fulfilled')),
    CONSTRAINT obligation_cutoff CHECK ((cutoff_from IS NULL) = (cutoff_to IS NULL)),
    CONSTRAINT obligation_accepted_is_whole CHECK (num_nulls(accepted_version, accepted_submission_id, accepted_received_at, on_time) IN (0, 4)),
    CONSTRAINT obligation_fulfilled CHECK ((standing = 'fulfilled') = (accepted_version IS NOT NULL)),
    CONSTRAINT obligation_nothing_sent CHECK ((standing = 'nothing_sent') = (received_version = 0)),
    CONSTRAINT obligation_on_time CHECK (on_time = (accepted_received_at <= deadline)),
    CONSTRAINT obligation_measured_is_whole CHECK (num_nulls(measured_version, measured_accepted, required_items, present_items) IN (0, 4)),
    CONSTRAINT obligation_moments CHECK (opens_at <= remind_at AND remind_at <= deadline)
)
 WITH (fillfactor = 75);

CREATE INDEX obligations_by_regime ON obligations (regime, period, obligation);

CREATE INDEX obligations_to_remind ON obligations (remind_at) WHERE owed AND due_soon_at IS NULL AND standing IN ('nothing_sent', 'returned');

CREATE INDEX obligations_by_agency ON obligations (agency, obligation);

CREATE INDEX obligations_to_mark ON obligations (deadline) WHERE owed AND overdue_at IS NULL AND accepted_version IS NULL AND on_time_version <= decided_version;

CREATE TABLE score_lines (
    obligation TEXT NOT NULL,
    seq INTEGER NOT NULL,
    line_id UUID NOT NULL,
    component TEXT NOT NULL,
    clause TEXT NOT NULL,
    points NUMERIC NOT NULL,
    cause TEXT NOT NULL,
    cause_en TEXT NOT NULL,
    policy_version TEXT NOT NULL,
    event_id UUID,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    counters UUID,
    PRIMARY KEY (obligation, seq),
    CONSTRAINT score_line_countered_once UNIQUE (counters),
    CONSTRAINT score_line_component CHECK (component IN ('timeliness', 'completeness'))
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN  RAISE EXCEPTION 'score lines are append-only: write a counter-line' USING ERRCODE = 'integrity_constraint_violation';END $$;

CREATE TRIGGER score_lines_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON score_lines FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE calendar_days (
    version TEXT NOT NULL,
    day DATE NOT NULL,
    work BOOLEAN NOT NULL,
    name TEXT NOT NULL,
    name_en TEXT NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (version, day),
    FOREIGN KEY(version) REFERENCES calendar_versions (version)
);
