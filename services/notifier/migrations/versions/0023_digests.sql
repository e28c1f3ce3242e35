-- NULL: the person has not chosen, or the record came before; `intake registry republish` fills it.
ALTER TABLE people ADD COLUMN digests jsonb;

-- NULL: nothing is decided, or it was before this was kept; the obligation's next event fills it.
ALTER TABLE obligations ADD COLUMN score numeric;

ALTER TABLE obligations ADD COLUMN scored_at timestamptz;

CREATE TABLE digest_rounds (
    kind text NOT NULL,
    "on" date NOT NULL,
    since timestamptz NOT NULL,
    at timestamptz NOT NULL,
    after text NOT NULL DEFAULT '',
    letters integer NOT NULL DEFAULT 0,
    done boolean NOT NULL DEFAULT false,
    PRIMARY KEY (kind, "on"),
    CONSTRAINT digest_rounds_kind CHECK (kind IN ('daily', 'weekly'))
);

ALTER TABLE notifications DROP CONSTRAINT notifications_kind;

ALTER TABLE notifications ADD CONSTRAINT notifications_kind
    CHECK (kind IN ('reminder','overdue','returned','escalation','named','certification','decision','withdrawal',
                    'resolved','digest'));
