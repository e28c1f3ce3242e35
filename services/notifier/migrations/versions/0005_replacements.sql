ALTER TABLE regimes ADD COLUMN replaces INTEGER;

CREATE INDEX regimes_replaces ON regimes (code, replaces) WHERE replaces IS NOT NULL;

CREATE INDEX notifications_failed ON notifications (id) WHERE state = 'failed';

