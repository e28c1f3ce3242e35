ALTER TABLE requests
    ADD COLUMN withdrawn_at timestamptz,
    ADD COLUMN withdrawn boolean NOT NULL DEFAULT false;

CREATE INDEX requests_to_withdraw ON requests (request_id) WHERE withdrawn_at IS NOT NULL AND NOT withdrawn;
