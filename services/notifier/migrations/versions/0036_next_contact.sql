ALTER TABLE notifications ADD COLUMN next_contact text;

-- what failed long ago is no news to anybody else
UPDATE notifications SET next_contact = 'before' WHERE state = 'failed';

CREATE INDEX notifications_next_contact ON notifications (obligation, id)
    WHERE state = 'failed' AND next_contact IS NULL;
