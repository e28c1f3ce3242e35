-- A year that has no row is provisional: nobody is known to have announced it.
CREATE TABLE calendar_years (
    version text NOT NULL REFERENCES calendar_versions (version),
    year integer NOT NULL,
    status text NOT NULL,
    announcements jsonb NOT NULL,
    PRIMARY KEY (version, year),
    CONSTRAINT calendar_year_status CHECK (status IN ('announced', 'recorded', 'provisional')),
    CONSTRAINT calendar_year_is_announced_by CHECK (
        (status = 'announced') = (jsonb_array_length(announcements) > 0)
    )
);
