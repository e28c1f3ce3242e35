-- NULL: the record arrived before these columns were there; intake's `registry republish` fills them.

ALTER TABLE regimes ADD COLUMN effective_from date, ADD COLUMN content jsonb;

CREATE TABLE regime_tellings (
    code text NOT NULL,
    regime_version integer NOT NULL,
    at timestamptz NOT NULL,
    after text NOT NULL DEFAULT '',
    done boolean NOT NULL DEFAULT false,
    again boolean NOT NULL DEFAULT false,
    rounds integer NOT NULL DEFAULT 0,
    PRIMARY KEY (code, regime_version)
);

CREATE INDEX regime_tellings_open ON regime_tellings (rounds, at) WHERE NOT done;

ALTER TABLE notifications DROP CONSTRAINT notifications_kind;

ALTER TABLE notifications ADD CONSTRAINT notifications_kind CHECK (
    kind IN ('reminder','overdue','returned','escalation','named','certification','decision','withdrawal','resolved',
             'digest','not_judged','request','regime')
);
