-- Wrong passwords are counted for ids that do not exist as well. Those counted so far are forgotten: nobody waits
-- longer than 15 minutes for them.

CREATE TABLE devices (
    sha256 BYTEA NOT NULL,
    person_id TEXT NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    failures DOUBLE PRECISION DEFAULT '0' NOT NULL,
    failed_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (sha256)
);

CREATE INDEX ix_devices_person_id ON devices (person_id);

CREATE INDEX ix_devices_seen_at ON devices (seen_at);

CREATE TABLE failures (
    whom BYTEA NOT NULL,
    address TEXT NOT NULL,
    failures DOUBLE PRECISION NOT NULL,
    failed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (whom, address)
);

CREATE INDEX ix_failures_failed_at ON failures (failed_at);

ALTER TABLE accounts DROP COLUMN failures;

ALTER TABLE accounts DROP COLUMN failed_at;

-- sign_ins are dropped after their term.
CREATE INDEX sign_ins_at ON sign_ins (at);
