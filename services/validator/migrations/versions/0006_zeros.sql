ALTER TABLE verdict ADD COLUMN any_nonzero BOOLEAN;
