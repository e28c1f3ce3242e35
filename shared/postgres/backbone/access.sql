CREATE TABLE access_keys (
    key_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    principal_kind TEXT NOT NULL,
    principal_id TEXT NOT NULL,
    scopes TEXT[] NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (key_id)
);

CREATE INDEX access_keys_operate ON access_keys (key_id) WHERE 'operate' = ANY (scopes);

CREATE TABLE access_people (
    person_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    agency TEXT NOT NULL,
    offices JSONB NOT NULL,
    PRIMARY KEY (person_id)
);
