ALTER TABLE registry DROP CONSTRAINT registry_kind;

ALTER TABLE registry ADD CONSTRAINT registry_kind
    CHECK (kind IN ('agency', 'officer', 'person', 'regime', 'request', 'sharing'));

ALTER TABLE verdicts ADD COLUMN was_accepted boolean NOT NULL DEFAULT false;

CREATE INDEX verdicts_changed ON verdicts (updated_at, submission_id);

CREATE INDEX steps_stored ON steps (stored_at, step_id) WHERE submission_id IS NOT NULL;
