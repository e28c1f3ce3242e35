CREATE TABLE outbox_set_aside (
	id BIGINT NOT NULL,
	event_id UUID NOT NULL,
	topic TEXT NOT NULL,
	key TEXT NOT NULL,
	type TEXT NOT NULL,
	traceparent TEXT,
	headers JSONB,
	body BYTEA,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	set_aside_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
	error_class TEXT NOT NULL,
	error_text TEXT NOT NULL,
	encoded_bytes INTEGER NOT NULL,
	behind BIGINT,
	archived BOOLEAN DEFAULT false NOT NULL,
	closed_at TIMESTAMP WITH TIME ZONE,
	closed_by TEXT,
	closed_reason TEXT,
	closed_as TEXT,
	PRIMARY KEY (id),
	CONSTRAINT outbox_set_aside_closed_as CHECK (closed_as IN ('superseded', 'discarded')),
	CONSTRAINT outbox_set_aside_closed_whole CHECK ((closed_at IS NULL) = (closed_as IS NULL) AND (closed_at IS NULL) = (closed_reason IS NULL))
);

CREATE INDEX outbox_set_aside_by_key ON outbox_set_aside (topic, key) WHERE closed_at IS NULL;

ALTER TABLE dead_letter
	ADD COLUMN discarded_at TIMESTAMP WITH TIME ZONE,
	ADD COLUMN discarded_by TEXT,
	ADD COLUMN discarded_reason TEXT,
	ADD CONSTRAINT dead_letter_discarded_with_a_reason CHECK ((discarded_at IS NULL) = (discarded_reason IS NULL));

CREATE INDEX dead_letter_open ON dead_letter (consumer, rejected_at) WHERE replayed_at IS NULL AND discarded_at IS NULL;

CREATE TABLE consumer_halt (
	id BIGINT GENERATED ALWAYS AS IDENTITY,
	consumer TEXT NOT NULL,
	halted_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
	rejected INTEGER NOT NULL,
	records INTEGER NOT NULL,
	causes JSONB NOT NULL,
	batch JSONB NOT NULL,
	resumed_at TIMESTAMP WITH TIME ZONE,
	resumed_by TEXT,
	resumed_how TEXT,
	PRIMARY KEY (id),
	CONSTRAINT consumer_halt_resumed_whole CHECK ((resumed_at IS NULL) = (resumed_by IS NULL) AND (resumed_at IS NULL) = (resumed_how IS NULL))
);

CREATE UNIQUE INDEX consumer_halt_once ON consumer_halt (consumer) WHERE resumed_at IS NULL;

CREATE TABLE consumer_bury_to (
	consumer TEXT NOT NULL,
	topic TEXT NOT NULL,
	partition INTEGER NOT NULL,
	"offset" BIGINT NOT NULL,
	ordered_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
	ordered_by TEXT NOT NULL,
	PRIMARY KEY (consumer, topic, partition)
);
