CREATE TABLE bounces (
    id uuid PRIMARY KEY,
    notification_id uuid NOT NULL REFERENCES notifications (id),
    message_id text NOT NULL,
    reported_by text NOT NULL,
    why text NOT NULL,
    at timestamptz NOT NULL
);

CREATE INDEX bounces_of_notification ON bounces (notification_id, at);
