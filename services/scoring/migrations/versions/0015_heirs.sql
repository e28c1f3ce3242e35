ALTER TABLE agencies ADD COLUMN heir text;
