CREATE INDEX obligations_overdue ON obligations (deadline) WHERE owed AND overdue_at IS NOT NULL AND accepted_version IS NULL;
