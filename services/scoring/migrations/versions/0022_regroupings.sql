CREATE TABLE regroupings (
    agency text PRIMARY KEY,
    at timestamptz NOT NULL,
    moved_at timestamptz,
    version bigint NOT NULL
);
