CREATE TABLE access_key_uses (
    key_id TEXT NOT NULL,
    last_used_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (key_id)
);
