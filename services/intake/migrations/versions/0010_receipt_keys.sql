CREATE TABLE receipt_keys (
    key_id TEXT NOT NULL,
    public_key BYTEA NOT NULL,
    registered_at TIMESTAMP WITH TIME ZONE NOT NULL,
    withdrawn_at TIMESTAMP WITH TIME ZONE,
    reason TEXT,
    PRIMARY KEY (key_id),
    CONSTRAINT receipt_keys_public_key_is_32_bytes CHECK (octet_length(public_key) = 32),
    CONSTRAINT receipt_keys_withdrawn_with_reason CHECK ((withdrawn_at IS NULL) = (reason IS NULL))
);
