-- NULL: the version was kept before this column was there; a dry run under it names its version.
ALTER TABLE regime ADD COLUMN validity jsonb;
