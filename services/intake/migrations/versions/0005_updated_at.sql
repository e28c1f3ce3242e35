-- now() is one value for all rows that are there, so nothing is rewritten; from then on each row has its own moment.
ALTER TABLE submissions ADD COLUMN stored_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL;

ALTER TABLE submissions ALTER COLUMN stored_at SET DEFAULT clock_timestamp();

CREATE INDEX submissions_stored ON submissions (agency, stored_at, submission_id);

ALTER TABLE verdicts ADD COLUMN agency TEXT DEFAULT '' NOT NULL;

ALTER TABLE verdicts ADD COLUMN updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL;

ALTER TABLE verdicts ALTER COLUMN updated_at SET DEFAULT clock_timestamp();

UPDATE verdicts SET agency = submissions.agency FROM submissions WHERE submissions.submission_id = verdicts.submission_id;

CREATE INDEX verdicts_updated ON verdicts (agency, updated_at, submission_id);

ALTER TABLE standings ADD COLUMN updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL;

ALTER TABLE standings ALTER COLUMN updated_at SET DEFAULT clock_timestamp();

CREATE INDEX standings_updated ON standings (agency, updated_at, obligation);

CREATE INDEX standings_overdue ON standings (agency, deadline, obligation) WHERE overdue;
