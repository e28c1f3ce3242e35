-- NULL: told before this column was kept, so letters say nothing about NIL reports.
ALTER TABLE regimes ADD COLUMN nil_allowed boolean;

ALTER TABLE requests ADD COLUMN legal_basis text NOT NULL DEFAULT '';

-- Times an operator had the mail sent again: that many more copies may have been accepted.
ALTER TABLE notifications ADD COLUMN resends integer NOT NULL DEFAULT 0;

CREATE TABLE resends (
    id uuid NOT NULL PRIMARY KEY,
    notification_id uuid NOT NULL REFERENCES notifications (id),
    by text NOT NULL,
    why text NOT NULL,
    at timestamptz NOT NULL,
    from_state text NOT NULL,
    from_reason text,
    from_recipient text NOT NULL,
    from_message_id text NOT NULL,
    recipient text NOT NULL,
    message_id text NOT NULL
);

CREATE INDEX resends_by_notification ON resends (notification_id, at);
