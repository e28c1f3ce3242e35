-- Only counter-lines name a line: an entry for every other line made the index as long as the table, for nothing.
ALTER TABLE score_lines DROP CONSTRAINT score_line_countered_once;

CREATE UNIQUE INDEX score_line_countered_once ON score_lines (counters) WHERE counters IS NOT NULL;
