-- NULL and '': the record arrived before these columns were there; intake's `registry republish` fills them.

ALTER TABLE requests ADD COLUMN asked_by text, ADD COLUMN question text NOT NULL DEFAULT '';

ALTER TABLE notifications DROP CONSTRAINT notifications_kind;

ALTER TABLE notifications ADD CONSTRAINT notifications_kind CHECK (
    kind IN ('reminder','overdue','returned','escalation','named','certification','decision','withdrawal','resolved',
             'digest','not_judged','request')
);
