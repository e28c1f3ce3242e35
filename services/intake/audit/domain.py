"""An entry of the audit trail: who changed which thing, and how; pure.

The trail is never corrected, so it keeps no contact of a person: `fingerprint` shows that one changed, not what it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

#: how a change came about: an operator's command, a request, or the service by itself
Via = Literal["command", "api", "service"]


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a change, and why. `by` names a person, a principal's id, or the service itself."""

    by: str
    why: str = ""
    via: Via = "command"


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one thing. `kind` and `key` name it: `agency`, `H99.01`; `submission`, its id.

    before, after: the fields that changed; None where there was nothing before, or is nothing after.
    """

    action: str  # created, changed, revoked, …
    kind: str
    key: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


def changed_fields(
    before: Mapping[str, Any] | None, after: Mapping[str, Any]
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """The fields of two states of a thing that differ; all of the later one where there was none before."""
    if before is None:
        return None, dict(after)
    differing = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {name: before.get(name) for name in differing}, {name: after.get(name) for name in differing}


def fingerprint(contact: str) -> str:
    """Stands for a contact: the same one gives the same text, from which nobody can compute the contact.

    16 bits: of the 10^9 telephone numbers that there may be, thousands share each; of 32 bits hardly two would. Who
    guesses one address can still check the guess, and one change in 65,536 does not show.
    """
    return f"fingerprint:{hashlib.sha256(contact.encode()).hexdigest()[:4]}" if contact else ""
