-- Pages show the newest notices of each obligation and read no more than they show.

CREATE INDEX notices_newest ON notices (obligation, at, notification_id);

DROP INDEX ix_notices_obligation;
