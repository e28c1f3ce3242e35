ALTER TABLE notifications ADD COLUMN wait_until timestamptz;

ALTER TABLE notifications ADD COLUMN urgent boolean NOT NULL DEFAULT false;

-- NULL: it went out as soon as it was planned.
ALTER TABLE notifications ADD COLUMN released_at timestamptz;

ALTER TABLE notifications ADD COLUMN held text;

-- NULL: a letter of its own.
ALTER TABLE notifications ADD COLUMN mail_id uuid REFERENCES notifications (id);

ALTER TABLE notifications DROP CONSTRAINT notifications_state;

ALTER TABLE notifications ADD CONSTRAINT notifications_state CHECK (
    state IN ('waiting','grouped','pending','claimed','in_data','retry','sent','unknown','failed','cancelled',
              'skipped')
);

ALTER TABLE notifications ADD CONSTRAINT notifications_waiting CHECK ((state = 'waiting') = (wait_until IS NOT NULL));

ALTER TABLE notifications ADD CONSTRAINT notifications_grouped CHECK (
    (state = 'grouped') <= (mail_id IS NOT NULL AND mail_id <> id)
);

DROP INDEX notifications_stoppable;

CREATE INDEX notifications_stoppable ON notifications (obligation)
    WHERE state IN ('waiting','grouped','pending','retry','claimed','unknown','skipped');

CREATE INDEX notifications_waiting_first ON notifications (wait_until) WHERE state = 'waiting';

CREATE INDEX notifications_waiting_of ON notifications (officer_id, id) WHERE state = 'waiting';

CREATE INDEX notifications_of_mail ON notifications (mail_id) WHERE mail_id IS NOT NULL;

CREATE INDEX notifications_released ON notifications (officer_id, released_at) WHERE released_at IS NOT NULL;

CREATE TABLE mailing_rules (
    version integer PRIMARY KEY,
    sha256 text NOT NULL,
    body text NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE silences (
    id uuid PRIMARY KEY,
    agency text,
    regime text,
    person text,
    kind text,
    until timestamptz NOT NULL,
    reason text NOT NULL,
    made_by text NOT NULL,
    made_at timestamptz NOT NULL,
    ended_at timestamptz,
    ended_by text,
    end_reason text,
    CONSTRAINT silences_match CHECK (num_nonnulls(agency, regime, person, kind) > 0),
    CONSTRAINT silences_end CHECK (until > made_at AND num_nulls(ended_at, ended_by, end_reason) IN (0, 3))
);

CREATE INDEX silences_in_force ON silences (until) WHERE ended_at IS NULL;
