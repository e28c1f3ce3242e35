ALTER TABLE registry DROP CONSTRAINT registry_kind;

ALTER TABLE registry ADD CONSTRAINT registry_kind
    CHECK (kind IN ('agency', 'officer', 'person', 'regime', 'request', 'sharing', 'reference', 'waiver'));
