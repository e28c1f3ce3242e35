-- Whom the report that answers the obligation names, as far as is known here.
ALTER TABLE obligations ADD COLUMN named_officer text;

-- Obligations whose answer names a person: one letter tells of several. told_with: the obligation of that letter.
CREATE TABLE namings (
    obligation text NOT NULL,
    officer_id text NOT NULL,
    version integer NOT NULL,
    received_at timestamptz NOT NULL,
    at timestamptz NOT NULL,
    told_with text,
    PRIMARY KEY (obligation, officer_id)
);

CREATE INDEX namings_untold ON namings (at) WHERE told_with IS NULL;

CREATE INDEX namings_untold_of_officer ON namings (officer_id, at) WHERE told_with IS NULL;

-- What was answered before is past: nobody is written to about it.
UPDATE obligations SET named_officer = '' WHERE accepted_version > 0;

ALTER TABLE notifications DROP CONSTRAINT notifications_kind;

ALTER TABLE notifications ADD CONSTRAINT notifications_kind
    CHECK (kind IN ('reminder','overdue','returned','escalation','named'));
