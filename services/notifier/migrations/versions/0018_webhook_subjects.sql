-- obligation: '' of a test, which is about none.
ALTER TABLE webhook_deliveries
    ADD COLUMN agency text NOT NULL DEFAULT '',
    ADD COLUMN obligation text NOT NULL DEFAULT '';

UPDATE webhook_deliveries
   SET agency = CAST(body AS jsonb) -> 'data' ->> 'agency',
       obligation = coalesce(CAST(body AS jsonb) -> 'data' ->> 'obligation', '');

ALTER TABLE webhook_deliveries
    ALTER COLUMN agency DROP DEFAULT,
    ALTER COLUMN obligation DROP DEFAULT;
