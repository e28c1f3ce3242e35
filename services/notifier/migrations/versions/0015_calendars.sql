-- Scoring publishes the calendar at each start, so the table fills by itself.
CREATE TABLE calendars (
    calendar_version text PRIMARY KEY,
    version integer NOT NULL,
    first_year integer NOT NULL,
    last_year integer NOT NULL,
    days_off jsonb NOT NULL,
    made_up jsonb NOT NULL
);
