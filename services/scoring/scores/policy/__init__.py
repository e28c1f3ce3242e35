"""How obligations are scored: versioned data and one pure function over it."""

from services.scoring.scores.policy.assess import Due, Facts, assess
from services.scoring.scores.policy.data import Policy, PolicyBook, PolicyError, PolicyMissing, read_policies

__all__ = ["Due", "Facts", "Policy", "PolicyBook", "PolicyError", "PolicyMissing", "assess", "read_policies"]
