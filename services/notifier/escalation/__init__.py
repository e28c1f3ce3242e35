"""Escalations (chuyển cấp): each late report climbs its ladder rung by rung until somebody answers for it."""
