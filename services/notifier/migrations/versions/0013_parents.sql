ALTER TABLE agencies ADD COLUMN parents jsonb NOT NULL DEFAULT '[]';
