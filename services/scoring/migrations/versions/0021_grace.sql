-- Working days after the deadline before which nobody is called overdue; NULL: none.
ALTER TABLE regimes ADD COLUMN grace_working_days integer;
