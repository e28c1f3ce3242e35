-- NULL: no message was offered, or before this was kept.
ALTER TABLE attempts ADD COLUMN content_sha256 text;
