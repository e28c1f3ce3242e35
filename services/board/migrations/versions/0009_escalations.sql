-- The climb of each overdue report: who was told at which rung, what they answered, and when it goes on.

CREATE TABLE escalations (
    obligation text NOT NULL,
    number integer NOT NULL,
    ladder text NOT NULL,
    ladder_version integer NOT NULL,
    opened_at timestamptz NOT NULL,
    position integer NOT NULL,
    passed jsonb NOT NULL,
    next_rung text,
    next_role text,
    next_at timestamptz,
    reason text NOT NULL,
    held_until timestamptz,
    answers jsonb NOT NULL,
    handed_on jsonb NOT NULL,
    resolved_at timestamptz,
    resolution text,
    at timestamptz NOT NULL,
    version integer NOT NULL,
    PRIMARY KEY (obligation, number)
);
