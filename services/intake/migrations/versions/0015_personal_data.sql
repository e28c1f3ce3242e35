CREATE INDEX notices_to_person ON notices ((document ->> 'officer_id'), notification_id);

-- a person's records are found among all that was sent, to blank their contacts
CREATE INDEX outbox_archive_of_registry ON outbox_archive (key) WHERE topic = 'registry';
