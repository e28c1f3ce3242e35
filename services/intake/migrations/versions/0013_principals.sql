ALTER TABLE registry DROP CONSTRAINT registry_kind;

ALTER TABLE registry ADD CONSTRAINT registry_kind
    CHECK (kind IN ('agency', 'officer', 'person', 'regime', 'request'));

ALTER TABLE api_keys RENAME COLUMN agency TO principal_id;

ALTER INDEX ix_api_keys_agency RENAME TO ix_api_keys_principal_id;

ALTER TABLE api_keys ADD COLUMN principal_kind TEXT NOT NULL DEFAULT 'agency';

ALTER TABLE api_keys ALTER COLUMN principal_kind DROP DEFAULT;

ALTER TABLE api_keys ADD COLUMN scopes TEXT[] NOT NULL DEFAULT '{submit,read}';

ALTER TABLE api_keys ALTER COLUMN scopes DROP DEFAULT;

ALTER TABLE api_keys ADD COLUMN version INTEGER NOT NULL DEFAULT 1;

ALTER TABLE api_keys ALTER COLUMN version DROP DEFAULT;

ALTER TABLE api_keys ADD CONSTRAINT api_keys_principal_kind
    CHECK (principal_kind IN ('agency', 'person', 'operator'));

ALTER TABLE api_keys ADD CONSTRAINT api_keys_scopes
    CHECK (scopes <@ '{submit,read,review,administer,operate}' AND scopes <> '{}');
