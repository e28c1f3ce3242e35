ALTER TABLE notifications ADD COLUMN next_contact text;

-- what failed long ago is no news to anybody else
UPDATE notifications SET next_contact = 'before' WHERE state = 'failed';

-- what the sweep looks for, and nothing that would stay in it for ever
CREATE INDEX notifications_next_contact ON notifications (obligation, id)
    WHERE state = 'failed' AND next_contact IS NULL
      AND kind IN ('reminder', 'request', 'overdue', 'returned', 'decision', 'certification')
      AND reason NOT LIKE 'unsendable%' AND step NOT LIKE '%/asker';
