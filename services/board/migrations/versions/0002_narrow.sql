-- A page that looks through the obligations of a regime reads no documents.

CREATE TABLE obligation_documents (
    obligation TEXT NOT NULL,
    version INTEGER NOT NULL,
    document JSONB NOT NULL,
    PRIMARY KEY (obligation)
);

INSERT INTO obligation_documents (obligation, version, document) SELECT obligation, version, document FROM obligations;

ALTER TABLE obligations ADD COLUMN grace_until TIMESTAMP WITH TIME ZONE;

UPDATE obligations SET grace_until = CAST(document->>'grace_until' AS TIMESTAMP WITH TIME ZONE)
 WHERE document ? 'grace_until';

ALTER TABLE obligations DROP COLUMN document;

CREATE INDEX obligations_oldest ON obligations (deadline, obligation) WHERE owed AND standing <> 'fulfilled';
