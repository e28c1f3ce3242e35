ALTER TABLE webhook_endpoints
    ADD COLUMN covers text NOT NULL DEFAULT 'own',
    ADD CONSTRAINT webhook_endpoints_covers CHECK (covers IN ('own', 'below'));
