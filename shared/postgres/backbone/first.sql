-- The backbone's first tables, as they were released; never edited: a change is a further file and migration.

CREATE TABLE outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    event_id UUID NOT NULL,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    type TEXT NOT NULL,
    traceparent TEXT,
    headers JSONB,
    body BYTEA,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE outbox_archive (
    id BIGINT NOT NULL,
    event_id UUID NOT NULL,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    type TEXT NOT NULL,
    traceparent TEXT,
    headers JSONB,
    body BYTEA,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    archived_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL
)
 PARTITION BY RANGE (archived_at);

CREATE INDEX outbox_archive_by_event ON outbox_archive (event_id);

CREATE INDEX outbox_archive_by_id ON outbox_archive (id);

CREATE TABLE outbox_archive_default PARTITION OF outbox_archive DEFAULT;

CREATE TABLE relay_position (
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    last_offset BIGINT NOT NULL,
    PRIMARY KEY (topic, partition)
);

CREATE TABLE relay_state (
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE inbox (
    consumer TEXT NOT NULL,
    event_id UUID NOT NULL,
    applied_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (consumer, event_id)
);

CREATE TABLE waiting (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    consumer TEXT NOT NULL,
    key TEXT NOT NULL,
    awaits TEXT NOT NULL,
    event_id UUID NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    "offset" BIGINT NOT NULL,
    headers JSONB NOT NULL,
    value BYTEA,
    parked_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (id)
);

CREATE INDEX waiting_by_key ON waiting (consumer, key, id);

CREATE INDEX waiting_by_name ON waiting (consumer, awaits, id);

CREATE TABLE dead_letter (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    dead_letter_id UUID NOT NULL,
    consumer TEXT NOT NULL,
    event_id UUID,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    "offset" BIGINT NOT NULL,
    key BYTEA,
    value BYTEA,
    headers JSONB NOT NULL,
    error_class TEXT NOT NULL,
    error_text TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    first_seen TIMESTAMP WITH TIME ZONE NOT NULL,
    rejected_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    replayed_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    UNIQUE (dead_letter_id)
);

CREATE UNIQUE INDEX dead_letter_by_place ON dead_letter (consumer, topic, partition, "offset");
