ALTER TABLE dead_letter ADD COLUMN digest BYTEA DEFAULT '' NOT NULL;

UPDATE dead_letter
   SET digest = sha256(convert_to(coalesce(event_id::text, encode(key, 'hex'), ''), 'UTF8') || '\x00'::bytea
                       || coalesce(sha256(value), '') || '\x00'::bytea || convert_to(headers::text, 'UTF8'));

CREATE UNIQUE INDEX dead_letter_by_record ON dead_letter (consumer, topic, partition, "offset", digest);

DROP INDEX dead_letter_by_place;
