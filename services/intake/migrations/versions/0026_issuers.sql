ALTER TABLE api_keys ADD COLUMN public_key BYTEA;

ALTER TABLE api_keys DROP CONSTRAINT api_keys_principal_kind;

ALTER TABLE api_keys ADD CONSTRAINT api_keys_principal_kind
    CHECK (principal_kind IN ('agency', 'person', 'operator', 'issuer'));

ALTER TABLE api_keys ADD CONSTRAINT api_keys_public_key
    CHECK ((principal_kind = 'issuer') = (public_key IS NOT NULL) AND octet_length(public_key) = 32);
