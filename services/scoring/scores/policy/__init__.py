"""How obligations are scored: versioned data and one pure function over it."""

from services.scoring.scores.policy.assess import Due, Scored, assess
from services.scoring.scores.policy.data import (
    ClauseText,
    Policy,
    PolicyBook,
    PolicyError,
    PolicyMissing,
    read_policies,
    shipped_policies,
)

__all__ = [
    "ClauseText",
    "Due",
    "Policy",
    "PolicyBook",
    "PolicyError",
    "PolicyMissing",
    "Scored",
    "assess",
    "read_policies",
    "shipped_policies",
]
