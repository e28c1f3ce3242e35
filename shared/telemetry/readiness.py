"""Whether an instance can serve, and each check that decides it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One thing readiness depends on. `detail` is a sentence for the operator."""

    ok: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether requests and events can be served now, and each check that decided it."""

    ready: bool
    checks: Mapping[str, Check]

    @classmethod
    def of(cls, checks: Mapping[str, Check]) -> Readiness:
        """Ready when every check is."""
        return cls(all(check.ok for check in checks.values()), checks)
