ALTER TABLE notifications DROP CONSTRAINT notifications_kind;

ALTER TABLE notifications ADD CONSTRAINT notifications_kind CHECK (
    kind IN ('reminder','overdue','returned','escalation','named','certification','decision','withdrawal','resolved',
             'digest','not_judged')
);
