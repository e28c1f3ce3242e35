-- What people are scored by never changes: the text of the file as it was loaded, held to its checksum.
CREATE TABLE policies (
    version text NOT NULL,
    effective_from date NOT NULL,
    sha256 text NOT NULL,
    body text NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (version),
    UNIQUE (effective_from),
    CONSTRAINT policy_is_its_file CHECK (sha256 = encode(sha256(convert_to(body, 'UTF8')), 'hex'))
);

CREATE FUNCTION refuse_change_of_policy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'a policy that is loaded never changes: load a new version'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER policies_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON policies
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_policy();
