CREATE TABLE webhook_health (
    webhook_id uuid PRIMARY KEY,
    version integer NOT NULL,
    attempted_at timestamptz NOT NULL,
    status integer,
    delivered_at timestamptz,
    failing_since timestamptz
);
