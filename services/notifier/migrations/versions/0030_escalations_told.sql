-- The version of the newest event about each escalation. 0 and NULL: none yet, as of those that ended before.

ALTER TABLE escalations ADD COLUMN version integer NOT NULL DEFAULT 0, ADD COLUMN changed_at timestamptz;

-- those that are open are looked at once more, and published then
UPDATE escalations SET next_at = opened_at, reason = '' WHERE resolved_at IS NULL;
