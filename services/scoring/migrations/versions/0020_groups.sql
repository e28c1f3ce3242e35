-- An agency whose record came before this column has its later parents with the record's next version.
ALTER TABLE agencies
    ADD COLUMN parents jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN regrouped_at timestamptz;

ALTER TABLE regimes ADD COLUMN submitter_parents text[] NOT NULL DEFAULT '{}';
