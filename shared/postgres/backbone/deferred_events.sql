ALTER TABLE waiting RENAME TO deferred_events;

ALTER TABLE deferred_events RENAME COLUMN parked_at TO deferred_at;

ALTER SEQUENCE waiting_id_seq RENAME TO deferred_events_id_seq;

ALTER INDEX waiting_pkey RENAME TO deferred_events_pkey;

ALTER INDEX waiting_by_key RENAME TO deferred_events_by_key;

ALTER INDEX waiting_by_name RENAME TO deferred_events_by_name;
