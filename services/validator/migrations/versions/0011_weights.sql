-- NULL: listed before it was kept; its code and "explain" say it.
ALTER TABLE finding ADD COLUMN weight text;

ALTER TABLE finding ADD CONSTRAINT finding_weight CHECK ((severity = 'error') = (weight = 'error'));
