-- Facts cannot be made of the maxima that were kept until now. A database with obligations is built again by replay.
DO $$ BEGIN
    IF EXISTS (SELECT FROM obligations) THEN
        RAISE EXCEPTION 'scoring keeps facts now, which its old rows do not hold: build the database again by replay'
            USING HINT = 'docs/restore.md says how: an empty database, `rebuild`, then `replay` by the owners.';
    END IF;
END $$;

DROP TABLE obligations;

DROP TABLE score_lines;

CREATE TABLE obligations (
    obligation TEXT NOT NULL,
    agency TEXT NOT NULL,
    regime TEXT NOT NULL,
    period TEXT NOT NULL,
    version INTEGER NOT NULL,
    owed BOOLEAN NOT NULL,
    standing TEXT NOT NULL,
    overdue BOOLEAN NOT NULL,
    deadline TIMESTAMP WITH TIME ZONE NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE,
    next_at TIMESTAMP WITH TIME ZONE,
    terms JSON NOT NULL,
    document JSON NOT NULL,
    opened_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (obligation),
    CONSTRAINT obligation_is_its_key CHECK (obligation = agency || '/' || regime || '/' || period),
    CONSTRAINT obligation_standing CHECK (standing IN ('nothing_sent', 'awaiting_verdict', 'returned', 'fulfilled')),
    CONSTRAINT obligation_nothing_sent CHECK ((standing = 'nothing_sent') = (received_at IS NULL)),
    CONSTRAINT obligation_overdue CHECK (NOT overdue OR (owed AND standing <> 'fulfilled'))
)
 WITH (fillfactor = 75);

CREATE INDEX obligations_by_agency ON obligations (agency, obligation);

CREATE INDEX obligations_by_regime ON obligations (regime, period, obligation);

CREATE INDEX obligations_next ON obligations (next_at) WHERE next_at IS NOT NULL;

CREATE INDEX obligations_overdue ON obligations (deadline) WHERE overdue;

CREATE TABLE score_lines (
    obligation TEXT NOT NULL,
    seq INTEGER NOT NULL,
    line_id UUID NOT NULL,
    component TEXT NOT NULL,
    clause TEXT NOT NULL,
    points NUMERIC NOT NULL,
    cause TEXT NOT NULL,
    cause_en TEXT NOT NULL,
    policy_version TEXT NOT NULL,
    event_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    reverses UUID,
    PRIMARY KEY (obligation, seq),
    CONSTRAINT score_line_component CHECK (component IN ('timeliness', 'completeness'))
);

CREATE UNIQUE INDEX score_line_reversed_once ON score_lines (reverses) WHERE reverses IS NOT NULL;

CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  RAISE EXCEPTION 'score lines are append-only: write a reversal' USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER score_lines_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON score_lines
 FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Everything is planned again, with its terms as text.
DELETE FROM plans;

ALTER TABLE plans DROP COLUMN calendar_version, DROP COLUMN obligations, ADD COLUMN terms TEXT NOT NULL;

-- rules: calendar and policies that every obligation follows; replan_from: where following newer ones begins.
ALTER TABLE generation ADD COLUMN rules TEXT, ADD COLUMN replan_from TIMESTAMP WITH TIME ZONE;

DELETE FROM setbacks WHERE sweep IN ('due_soon', 'overdue');

ALTER TABLE setbacks DROP CONSTRAINT setback_sweep,
    ADD CONSTRAINT setback_sweep CHECK (sweep IN ('plan', 'generate', 'deadline', 'withdraw', 'relief'));

CREATE TABLE reliefs (
    relief_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    applied_version INTEGER DEFAULT 0 NOT NULL,
    applied_until TEXT DEFAULT '' NOT NULL,
    status TEXT NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    hold_until TIMESTAMP WITH TIME ZONE,
    agencies TEXT[] NOT NULL,
    regimes TEXT[] NOT NULL,
    obligations TEXT[] NOT NULL,
    reason TEXT NOT NULL,
    proposed_by TEXT NOT NULL,
    proposed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    decided_by TEXT,
    decided_at TIMESTAMP WITH TIME ZONE,
    evidence JSONB NOT NULL,
    PRIMARY KEY (relief_id),
    CONSTRAINT relief_status CHECK (status IN ('proposed', 'granted', 'rejected')),
    CONSTRAINT relief_span CHECK (starts_at < ends_at),
    CONSTRAINT relief_decided_by CHECK ((status = 'proposed') = (decided_by IS NULL)),
    CONSTRAINT relief_decided CHECK ((decided_by IS NULL) = (decided_at IS NULL))
);

CREATE INDEX reliefs_unapplied ON reliefs (relief_id) WHERE applied_version < version;
