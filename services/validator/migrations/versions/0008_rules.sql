ALTER TABLE finding ADD COLUMN legal_basis text, ADD COLUMN explain boolean;

-- figures: only of accepted reports whose regime has rules that look back; NULL of any other, and of all before.
ALTER TABLE verdict ADD COLUMN rule_pack text, ADD COLUMN compared_with jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN figures jsonb;
