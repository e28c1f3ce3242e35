-- Withdrawals of before are known once their owner sends them again, as far as Kafka does not hold them.
CREATE TABLE withdrawal (
    submission_id uuid PRIMARY KEY,
    obligation text NOT NULL,
    withdrawn_at timestamptz NOT NULL
);

CREATE INDEX withdrawal_obligation ON withdrawal (obligation);
