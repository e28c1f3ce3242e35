ALTER TABLE webhooks ADD COLUMN covers text NOT NULL DEFAULT 'own';

CREATE INDEX webhooks_below ON webhooks (agency) WHERE covers = 'below' AND state <> 'deleted';
