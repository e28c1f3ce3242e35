"""Policies are data: each has a version and a first day; the latest that had begun by the deadline's day governs.

A policy file is read whole or refused with every fault and its line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.contract.events.base import ExactDecimal
from shared.runtime.trouble import InfrastructureTrouble
from shared.service.model_files import FileDay, read_model

#: a policy file is a page; more is a wrong file
MAX_FILE_BYTES = 256 * 1024
#: nested deeper it is no policy
MAX_DEPTH = 8


class PolicyError(ValueError):
    """A policy file is wrong, or may not be loaded; the message names it, each fault on a line of its own."""


class PolicyMissing(InfrastructureTrouble):
    """No policy is loaded, or one that obligations were scored by: load it; what is scored by it waits meanwhile."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Timeliness(_Part):
    full: ExactDecimal
    off_per_working_day: ExactDecimal = Field(ge=0)
    floor: ExactDecimal
    overdue: ExactDecimal
    #: for a report within the regime's grace, never more than lateness takes; None: as for any other late report
    off_within_grace: ExactDecimal | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Timeliness:
        if self.floor > self.full:
            raise ValueError(
                f"floor, {self.floor}, lớn hơn full, {self.full} / floor, {self.floor}, is above full, {self.full}"
            )
        if self.overdue > self.full:
            raise ValueError(
                f"overdue, {self.overdue}, lớn hơn full, {self.full}: không nộp được nhiều điểm hơn nộp / "
                f"overdue, {self.overdue}, is above full, {self.full}: silence would earn more than a report"
            )
        return self


class Completeness(_Part):
    full: ExactDecimal = Field(ge=0)
    fraction_digits: int = Field(ge=0, le=6)
    #: only an accepted report earns completeness
    counts: Literal["accepted"]


class Clauses(_Part):
    on_time: str
    late: str
    overdue: str
    complete: str
    grace: str | None = None  # where `off_within_grace` is given

    def each(self) -> tuple[str, ...]:
        named = (self.on_time, self.late, self.overdue, self.complete)
        return named if self.grace is None else (*named, self.grace)


class ClauseText(_Part):
    """What a clause says to those it judges, and where it comes from."""

    text_vi: str = Field(min_length=1)
    text_en: str = Field(min_length=1)
    legal_basis: str = Field(min_length=1)


class Policy(_Part):
    """One version of the scoring policy."""

    version: str = Field(pattern=r"^[0-9A-Za-z._-]{1,64}$")
    effective_from: FileDay
    source: str
    #: a deadline is not moved earlier within so many working days of now
    notice_working_days: int = Field(ge=0, le=60)
    timeliness: Timeliness
    completeness: Completeness
    clauses: Clauses
    texts: dict[str, ClauseText]

    @model_validator(mode="after")
    def _explained(self) -> Policy:
        clauses = self.clauses.each()
        if (self.clauses.grace is None) != (self.timeliness.off_within_grace is None):
            raise ValueError(
                "timeliness.off_within_grace, clauses.grace: ghi cả hai hoặc không ghi / "
                "timeliness.off_within_grace and clauses.grace: give both, or neither"
            )
        twice = sorted({clause for clause in clauses if clauses.count(clause) > 1})
        if twice:
            named = ", ".join(twice)
            raise ValueError(f"clauses: {named} dùng cho hai quy tắc / clauses: {named} names two rules")
        without = sorted(set(clauses) - self.texts.keys())
        if without:
            named = ", ".join(without)
            raise ValueError(f"texts: khoản {named} không có nội dung / texts: clause {named} has no text")
        unused = sorted(self.texts.keys() - set(clauses))
        if unused:
            named = ", ".join(unused)
            raise ValueError(
                f"texts: {named} không phải khoản nào của quy tắc này / texts: {named} is no clause of this policy"
            )
        return self

    def text(self, clause: str) -> ClauseText | None:
        """What a clause of this policy says; None for a clause that it does not have."""
        return self.texts.get(clause)


@dataclass(frozen=True, slots=True)
class ReadPolicy:
    """A policy with the exact text of its file and the digest of its bytes."""

    policy: Policy
    body: str
    sha256: str


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

    @property
    def versions(self) -> frozenset[str]:
        """The versions it holds."""
        return frozenset(self._by_version)

    @property
    def digest(self) -> str:
        """Names which policies there are, and from when on each governs."""
        return " ".join(f"{policy.version}@{policy.effective_from}" for policy in self._by_day)

    def governing(self, day: date) -> Policy:
        """The policy of a deadline's local day; deadlines before the first policy fall under the first."""
        for policy in self._by_day:
            if policy.effective_from <= day:
                return policy
        return self._by_day[-1]

    def version(self, version: str) -> Policy:
        """A policy by its version. Raises PolicyMissing if it is not loaded."""
        try:
            return self._by_version[version]
        except KeyError:
            raise PolicyMissing(
                f"the scoring policy {version!r} is not loaded; load its file: python -m services.scoring policy-load"
            ) from None


def parse_policy(name: str, file: bytes) -> ReadPolicy:
    """A policy from its file's bytes (YAML, UTF-8). Raises PolicyError with every fault and its line."""
    policy, faults = read_model(file, name, Policy, max_bytes=MAX_FILE_BYTES, max_depth=MAX_DEPTH)
    if policy is None:
        raise PolicyError("\n".join(faults))
    return ReadPolicy(policy, file.decode(), hashlib.sha256(file).hexdigest())


def read_policy(path: Path) -> ReadPolicy:
    """A policy from its file. Raises PolicyError, OSError."""
    return parse_policy(path.name, path.read_bytes())


def shipped_policies(folder: Path | None = None) -> list[ReadPolicy]:
    """Every policy file of a folder, by default those that come with the service, by first day. Raises PolicyError."""
    found = [read_policy(path) for path in (folder or Path(__file__).parent).glob("*.yaml")]
    return sorted(found, key=lambda read: read.policy.effective_from)


def read_policies(folder: Path | None = None) -> PolicyBook:
    """The shipped policies as a book, without a database. Raises PolicyError."""
    return PolicyBook(read.policy for read in shipped_policies(folder))
