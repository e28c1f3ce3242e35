-- Keys that sign tokens, and the offices of officers, who may act by key or token as other people do.
-- Officers who are known already come with `registry republish`.
ALTER TABLE access_keys ADD COLUMN public_key TEXT;

CREATE INDEX access_keys_issuers ON access_keys (key_id) WHERE principal_kind = 'issuer';

CREATE TABLE access_officers (
    officer_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    agency TEXT NOT NULL,
    role TEXT NOT NULL,
    regimes TEXT[] NOT NULL,
    active BOOLEAN NOT NULL,
    PRIMARY KEY (officer_id)
);
