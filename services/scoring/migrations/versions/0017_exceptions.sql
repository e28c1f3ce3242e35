ALTER TABLE regimes ADD COLUMN submitters_except text[] NOT NULL DEFAULT '{}';
