ALTER TABLE standings ADD COLUMN policy_version TEXT;

ALTER TABLE standings ADD COLUMN lines JSONB;

CREATE TABLE notices (
    notification_id UUID NOT NULL,
    version INTEGER NOT NULL,
    agency TEXT NOT NULL,
    obligation TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    document JSONB NOT NULL,
    PRIMARY KEY (notification_id)
);

CREATE INDEX notices_of_obligation ON notices (agency, obligation, at, notification_id);
