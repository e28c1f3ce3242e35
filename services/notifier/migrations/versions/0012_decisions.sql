-- Whoever holds an office. Records that came before are published again by `intake registry republish`.
CREATE TABLE people (
    person_id text PRIMARY KEY,
    agency text NOT NULL,
    name text NOT NULL,
    title text NOT NULL,
    email text NOT NULL,
    offices jsonb NOT NULL,
    reviews_at text[] NOT NULL,
    version integer NOT NULL
);

CREATE INDEX people_reviews_at ON people USING gin (reviews_at);

ALTER TABLE obligations ADD COLUMN certify_version integer NOT NULL DEFAULT 0;

ALTER TABLE notifications DROP CONSTRAINT notifications_kind;

ALTER TABLE notifications ADD CONSTRAINT notifications_kind
    CHECK (kind IN ('reminder','overdue','returned','escalation','named','certification','decision','withdrawal'));
