-- Followers keep the newest version of an obligation they were told: a rebuilt database must begin above all of them.
ALTER TABLE generation
    ADD COLUMN first_version integer NOT NULL DEFAULT 1,
    ADD CONSTRAINT generation_first_version CHECK (first_version >= 1);
