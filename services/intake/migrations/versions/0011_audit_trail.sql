-- Who changed what, when, from what to what, and why: only ever appended.
CREATE TABLE audit_trail (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    by text NOT NULL,
    via text NOT NULL,
    action text NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    before jsonb,
    after jsonb,
    why text NOT NULL,
    CONSTRAINT audit_trail_names_all CHECK (by <> '' AND action <> '' AND kind <> '' AND key <> ''),
    CONSTRAINT audit_trail_via CHECK (via IN ('command', 'api', 'service'))
);

CREATE INDEX audit_trail_of_thing ON audit_trail (kind, key, audit_id);

CREATE INDEX audit_trail_of_author ON audit_trail (by, audit_id);

CREATE FUNCTION refuse_change_of_audit_trail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'the audit trail is append-only'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER audit_trail_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_trail
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit_trail();

-- The tools for dead letters, deferred events, consumers and the outbox are the same in every service; only intake has
-- a trail. So it is the tables that write down what those tools decide, whoever calls them.
-- `thongsuot.operator`: who gives the command, set by the tools where the row itself does not say.
CREATE FUNCTION audit_decided_dead_letters() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit_trail (at, by, via, action, kind, key, before, after, why)
    SELECT clock_timestamp(),
           coalesce(n.discarded_by, nullif(current_setting('thongsuot.operator', true), ''), session_user), 'command',
           s.action, 'dead_letter', n.dead_letter_id::text,
           jsonb_build_object('state', CASE WHEN o.discarded_at IS NULL THEN 'open' ELSE 'discarded' END),
           jsonb_build_object('state', s.state, 'consumer', n.consumer, 'event_id', n.event_id),
           coalesce(n.discarded_reason, '')
      FROM new_rows n JOIN old_rows o USING (id)
      CROSS JOIN LATERAL (
           SELECT 'discarded' AS action, 'discarded' AS state WHERE o.discarded_at IS NULL AND n.discarded_at IS NOT NULL
           UNION ALL
           SELECT 'restored', 'open' WHERE o.discarded_at IS NOT NULL AND n.discarded_at IS NULL
           UNION ALL
           SELECT 'replayed', 'replayed' WHERE o.replayed_at IS NULL AND n.replayed_at IS NOT NULL) s
     ORDER BY n.id;
    RETURN NULL;
END $$;

CREATE TRIGGER dead_letters_are_audited AFTER UPDATE ON dead_letter
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION audit_decided_dead_letters();

CREATE FUNCTION audit_buried_events() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit_trail (at, by, via, action, kind, key, before, after, why)
    SELECT clock_timestamp(), coalesce(nullif(current_setting('thongsuot.operator', true), ''), session_user),
           'command', 'buried', 'dead_letter', n.dead_letter_id::text, jsonb_build_object('state', 'deferred'),
           jsonb_build_object('state', 'open', 'consumer', n.consumer, 'event_id', n.event_id), n.error_text
      FROM new_rows n WHERE n.error_class = 'Buried' ORDER BY n.id;
    RETURN NULL;
END $$;

CREATE TRIGGER buried_events_are_audited AFTER INSERT ON dead_letter
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION audit_buried_events();

CREATE FUNCTION audit_discarded_outbox_events() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit_trail (at, by, via, action, kind, key, before, after, why)
    SELECT clock_timestamp(), coalesce(n.closed_by, session_user), 'command', 'discarded', 'outbox_event',
           n.event_id::text, jsonb_build_object('state', 'set aside'),
           jsonb_build_object('state', 'discarded', 'topic', n.topic, 'key', n.key), coalesce(n.closed_reason, '')
      FROM new_rows n JOIN old_rows o USING (id)
     WHERE o.closed_at IS NULL AND n.closed_as = 'discarded' ORDER BY n.id;
    RETURN NULL;
END $$;

CREATE TRIGGER discarded_outbox_events_are_audited AFTER UPDATE ON outbox_set_aside
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION audit_discarded_outbox_events();

CREATE FUNCTION audit_resumed_consumers() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit_trail (at, by, via, action, kind, key, before, after, why)
    SELECT clock_timestamp(), n.resumed_by, 'command', 'resumed', 'consumer', n.consumer,
           jsonb_build_object('state', 'halted', 'halted_at', n.halted_at),
           jsonb_build_object('state', 'running', 'how', n.resumed_how), ''
      FROM new_rows n JOIN old_rows o USING (id)
     WHERE o.resumed_at IS NULL AND n.resumed_at IS NOT NULL ORDER BY n.id;
    RETURN NULL;
END $$;

CREATE TRIGGER resumed_consumers_are_audited AFTER UPDATE ON consumer_halt
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION audit_resumed_consumers()
