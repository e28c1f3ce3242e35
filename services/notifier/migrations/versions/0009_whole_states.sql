-- What was notified before counts as the first of its kind.
ALTER TABLE obligations
    ADD COLUMN owed boolean NOT NULL DEFAULT true,
    ADD COLUMN overdue boolean NOT NULL DEFAULT false,
    ADD COLUMN overdue_count integer NOT NULL DEFAULT 0,
    ADD COLUMN reminded_at timestamptz,
    ADD COLUMN reminded_for timestamptz,
    ADD COLUMN reminder_count integer NOT NULL DEFAULT 0;

UPDATE obligations o SET overdue = accepted_version = 0, overdue_count = 1
 WHERE EXISTS (SELECT FROM notifications n WHERE n.obligation = o.obligation AND n.kind = 'overdue');

UPDATE obligations o SET reminder_count = 1, reminded_for = deadline
 WHERE EXISTS (SELECT FROM notifications n WHERE n.obligation = o.obligation AND n.kind = 'reminder');
