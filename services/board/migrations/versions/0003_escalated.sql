-- The page of escalations asks which reports one person was told of.

CREATE INDEX notices_escalated ON notices (officer_id) WHERE kind = 'escalation';
