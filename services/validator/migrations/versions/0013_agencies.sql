CREATE TABLE agency (
    code text PRIMARY KEY,
    version integer NOT NULL,
    kind text NOT NULL,
    parent text,
    parents jsonb NOT NULL,
    ever_below text[] NOT NULL,
    opened_on date NOT NULL,
    closed_on date
);

CREATE INDEX agency_ever_below ON agency USING gin (ever_below);

-- NULL: the regime was kept before; `registry republish` fills it.
ALTER TABLE regime ADD COLUMN submitters jsonb;
