ALTER TABLE verdicts DROP CONSTRAINT verdicts_outcome;

ALTER TABLE verdicts ADD CONSTRAINT verdicts_outcome CHECK (outcome IN ('accepted', 'returned', 'not_judged'));
