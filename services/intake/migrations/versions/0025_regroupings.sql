-- Of changes made before it is not known; scoring keeps when it heard of them.
CREATE TABLE regroupings (
    agency text PRIMARY KEY,
    at timestamptz NOT NULL,
    moved_at timestamptz,
    version bigint NOT NULL
);
