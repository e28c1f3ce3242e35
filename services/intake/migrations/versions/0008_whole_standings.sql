-- Scoring's database is built again with this release, and publishes every obligation anew.
DROP TABLE standings;

CREATE TABLE standings (
    obligation TEXT NOT NULL,
    version INTEGER NOT NULL,
    agency TEXT NOT NULL,
    regime TEXT NOT NULL,
    regime_version INTEGER NOT NULL,
    period TEXT NOT NULL,
    deadline TIMESTAMP WITH TIME ZONE NOT NULL,
    standing TEXT NOT NULL,
    owed BOOLEAN NOT NULL,
    overdue BOOLEAN NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    document JSON NOT NULL,
    PRIMARY KEY (obligation),
    CONSTRAINT standings_standing CHECK (standing IN ('nothing_sent', 'awaiting_verdict', 'returned', 'fulfilled'))
);

CREATE INDEX standings_updated ON standings (agency, updated_at, obligation);

CREATE INDEX standings_overdue ON standings (agency, deadline, obligation) WHERE overdue;

CREATE INDEX standings_of_agency ON standings (agency, deadline, obligation);

CREATE INDEX standings_owed ON standings (agency, deadline, obligation) WHERE owed AND standing <> 'fulfilled';
