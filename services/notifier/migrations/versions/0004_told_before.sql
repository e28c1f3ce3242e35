-- One row, in a database that was built again: what happened until then was told before it was lost.
CREATE TABLE told_before (
    one_row boolean PRIMARY KEY DEFAULT true,
    until timestamptz NOT NULL,
    CONSTRAINT told_before_is_one_row CHECK (one_row)
);
