"""How obligations are scored: versioned data and one pure function over it."""

from services.scoring.scores.policy.assess import Due, Facts, assess
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
    "Facts",
    "Policy",
    "PolicyBook",
    "PolicyError",
    "PolicyMissing",
    "assess",
    "read_policies",
    "shipped_policies",
]
