-- Who decided what about a relief, when and why: only ever appended.
CREATE TABLE relief_decisions (
    relief_id text NOT NULL REFERENCES reliefs (relief_id),
    version integer NOT NULL,
    before text,
    after text NOT NULL,
    decided_by text NOT NULL,
    decided_at timestamptz NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (relief_id, version),
    CONSTRAINT relief_decision_first CHECK ((version = 1) = (before IS NULL))
);

CREATE FUNCTION refuse_change_of_relief_decision() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'decisions about reliefs are append-only: decide anew'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER relief_decisions_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON relief_decisions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_relief_decision();
