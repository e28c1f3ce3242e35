"""Who may do what: principals and their rights, one pure rule for all services."""

from shared.access.principals import (
    SCOPES,
    Office,
    Principal,
    PrincipalKind,
    Role,
    Scope,
    Term,
    delegated_by,
    duty_of,
)
from shared.access.rights import BY_TOKENS, RIGHTS, Right, at_or_below, may, may_anywhere, offices_over, reach_of
from shared.access.words import ACTORS

__all__ = [
    "ACTORS",
    "BY_TOKENS",
    "RIGHTS",
    "SCOPES",
    "Office",
    "Principal",
    "PrincipalKind",
    "Right",
    "Role",
    "Scope",
    "Term",
    "at_or_below",
    "delegated_by",
    "duty_of",
    "may",
    "may_anywhere",
    "offices_over",
    "reach_of",
]
