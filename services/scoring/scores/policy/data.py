"""Policies are data: each has a version and a first day; the latest that had begun by the deadline's day governs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.contract.events.base import ExactDecimal
from shared.runtime.trouble import InfrastructureTrouble


class PolicyError(ValueError):
    """A policy file is wrong, or no policy governs a day; the message names it."""


class PolicyMissing(InfrastructureTrouble):
    """Obligations were scored by a policy whose file is not deployed: put it back; events wait meanwhile."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Timeliness(_Part):
    full: ExactDecimal
    off_per_working_day: ExactDecimal = Field(ge=0)
    floor: ExactDecimal
    overdue: ExactDecimal


class Completeness(_Part):
    full: ExactDecimal = Field(ge=0)
    fraction_digits: int = Field(ge=0, le=6)


class Clauses(_Part):
    on_time: str
    late: str
    overdue: str
    complete: str


class Policy(_Part):
    """One version of the scoring policy."""

    version: str
    effective_from: date
    source: str
    timeliness: Timeliness
    completeness: Completeness
    clauses: Clauses


class PolicyBook:
    """All policies, immutable; answers which one governs a day."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._by_day = sorted(policies, key=lambda policy: policy.effective_from, reverse=True)
        self._by_version = {policy.version: policy for policy in self._by_day}
        if not self._by_day:
            raise PolicyError("there is no scoring policy")
        if len(self._by_version) != len(self._by_day):
            raise PolicyError("two scoring policies have one version")
        if len({policy.effective_from for policy in self._by_day}) != len(self._by_day):
            raise PolicyError("two scoring policies begin on one day")

    def governing(self, day: date) -> Policy:
        """The policy of a deadline's local day; deadlines before the first policy fall under the first."""
        for policy in self._by_day:
            if policy.effective_from <= day:
                return policy
        return self._by_day[-1]

    def version(self, version: str) -> Policy:
        """A policy by its version. Raises PolicyMissing if its file is gone."""
        try:
            return self._by_version[version]
        except KeyError:
            raise PolicyMissing(f"the scoring policy {version!r} has no file any more; put it back") from None


def read_policies(folder: Path | None = None) -> PolicyBook:
    """Read every policy file (YAML) of a folder, by default those shipped. Raises PolicyError."""
    policies = []
    for path in sorted((folder or Path(__file__).parent).glob("*.yaml")):
        try:
            policies.append(Policy.model_validate(yaml.safe_load(path.read_bytes())))
        except (yaml.YAMLError, ValidationError) as error:
            raise PolicyError(f"{path.name}: {error}") from error
    return PolicyBook(policies)
