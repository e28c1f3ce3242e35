ALTER TABLE regimes
    ADD COLUMN certification text NOT NULL DEFAULT 'none',
    ADD COLUMN lock_after_working_days integer;
