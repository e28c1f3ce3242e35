-- What a report of a regime holds. NULL: the record came before; `python -m services.intake registry republish` fills
-- it, as it fills all copies.

ALTER TABLE regimes ADD COLUMN form JSONB;

-- What officers have typed and not sent yet. It is not followed from anywhere: a rebuild keeps it.

CREATE TABLE drafts (
    obligation TEXT NOT NULL,
    version INTEGER NOT NULL,
    saved_by TEXT NOT NULL,
    saved_at TIMESTAMP WITH TIME ZONE NOT NULL,
    document JSONB NOT NULL,
    PRIMARY KEY (obligation)
);

CREATE INDEX ix_drafts_saved_at ON drafts (saved_at);
