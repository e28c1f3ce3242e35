-- '': the record arrived before this was kept; intake's `registry republish` fills it.
ALTER TABLE people ADD COLUMN phone text NOT NULL DEFAULT '';

ALTER TABLE notifications ADD COLUMN next_channels text[] NOT NULL DEFAULT '{}';

DROP INDEX notifications_due_first;

CREATE INDEX notifications_due_by_channel ON notifications (channel, due_at) WHERE due_at IS NOT NULL;

ALTER TABLE attempts ADD COLUMN channel text NOT NULL DEFAULT 'email';

CREATE INDEX attempts_of_gateways ON attempts (channel, claimed_at) WHERE channel <> 'email';
