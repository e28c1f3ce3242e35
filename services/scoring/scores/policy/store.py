"""Policies in the database: loaded once, never changed, none that would judge again what is judged already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import text

from services.scoring.fixed_versions import other_contents
from services.scoring.scores.policy.data import Policy, PolicyBook, PolicyError, PolicyMissing, ReadPolicy, parse_policy
from shared.contract.events import PolicyClause, PolicyLoaded
from shared.outbox import publish
from shared.postgres.database import ReadTransaction, Transaction

# loads stand in line, or two of them could take one first day: rare, short, and no reader waits
# (not LOCK TABLE, which asks for more rights on a table than to append to it)
_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended('scoring: policies', 0))")
_LOADED = text("SELECT version, effective_from, sha256 FROM policies")
_ANY_OBLIGATION = text("SELECT EXISTS (SELECT FROM obligations)")
_SCORED_BY = text("SELECT EXISTS (SELECT FROM obligations WHERE terms->>'policy_version' = :version)")
_LOAD = text("""
    INSERT INTO policies (version, effective_from, sha256, body) VALUES (:version, :effective_from, :sha256, :body)
""")
_VERSIONS = text("SELECT version FROM policies")
_BODIES = text("SELECT version, effective_from, body FROM policies")
_LIST = text("""
    SELECT version, effective_from, sha256, loaded_at, body,
           lead(effective_from) OVER (ORDER BY effective_from) - 1 AS effective_until
      FROM policies ORDER BY effective_from
""")


@dataclass(slots=True)
class Loaded:
    """What a load did: the versions stored now, and those left out with the reason."""

    versions: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


async def load_policies(tx: Transaction, policies: Iterable[ReadPolicy], today: date) -> Loaded:
    """Store policies that are not there yet.

    Left out, with the reason, is one whose first day is not after `today` (business time), for it would judge again
    what is judged already. Not so where nothing has been judged (no policy or no obligation is stored), and where
    obligations name this version: then it only comes back. Raises PolicyError if a stored version has other contents,
    or if a first day is taken.
    """
    await tx.execute(_ALONE)
    stored = {row.version: row for row in await tx.execute(_LOADED)}
    first_days = {row.effective_from: row.version for row in stored.values()}
    untouched = not stored or not (await tx.execute(_ANY_OBLIGATION)).scalar_one()
    loaded = Loaded()
    for read in policies:
        policy = read.policy
        if policy.version in stored:
            if (kept := stored[policy.version].sha256) != read.sha256:
                remedy = "hãy tạo phiên bản mới", "write a new version"
                name = f"Quy tắc {policy.version}", f"policy {policy.version}"
                raise PolicyError(other_contents(*name, remedy, kept, read.sha256))
            continue
        if policy.effective_from in first_days:
            raise PolicyError(
                f"Ngày {policy.effective_from:%d/%m/%Y} đã là ngày bắt đầu của quy tắc "
                f"{first_days[policy.effective_from]} / policy {first_days[policy.effective_from]} already begins on "
                f"{policy.effective_from}: give {policy.version} another effective_from"
            )
        if not untouched and policy.effective_from <= today and not await _comes_back(tx, policy):
            loaded.left_out[policy.version] = (
                f"Quy tắc {policy.version} có hiệu lực từ {policy.effective_from:%d/%m/%Y}, không sau hôm nay "
                f"({today:%d/%m/%Y}): điểm đã chấm sẽ đổi. Hãy đặt effective_from muộn hơn / policy {policy.version} "
                f"begins on {policy.effective_from}, not after today, {today}: it would change scores already given. "
                f"Set effective_from later"
            )
            continue
        head = policy.model_dump(include={"version", "effective_from"})
        await tx.execute(_LOAD, head | {"sha256": read.sha256, "body": read.body})
        first_days[policy.effective_from] = policy.version
        loaded.versions.append(policy.version)
    return loaded


async def publish_policies(tx: Transaction) -> None:
    """Publish every loaded policy, so that letters can say what a late day costs.

    At each start as well: a topic or an archive that lost one gets it again. Raises PolicyMissing.
    """
    policies = [_policy(row) for row in await tx.execute(_BODIES)]
    await publish(tx, [event_of(policy) for policy in sorted(policies, key=lambda policy: policy.effective_from)])


def event_of(policy: Policy) -> PolicyLoaded:
    """The event about a policy."""
    clauses = policy.clauses.model_dump(exclude_none=True)
    return PolicyLoaded(
        policy_version=policy.version,
        effective_from=policy.effective_from,
        timeliness_full=policy.timeliness.full,
        off_per_working_day=policy.timeliness.off_per_working_day,
        timeliness_floor=policy.timeliness.floor,
        timeliness_overdue=policy.timeliness.overdue,
        off_within_grace=policy.timeliness.off_within_grace,
        completeness_full=policy.completeness.full,
        clauses=tuple(
            PolicyClause(
                rule=rule, clause=clause, text=text.text_vi, text_en=text.text_en, legal_basis=text.legal_basis
            )
            for rule, clause in clauses.items()
            if (text := policy.text(clause)) is not None
        ),
    )


async def _comes_back(tx: Transaction, policy: Policy) -> bool:
    return bool((await tx.execute(_SCORED_BY, {"version": policy.version})).scalar_one())


class PolicyShelf:
    """The loaded policies, kept. A version never changes, so only a new one makes it read the table again."""

    def __init__(self, book: PolicyBook | None = None) -> None:
        self._book = book

    @property
    def book(self) -> PolicyBook:
        """The policies as last read. Raises PolicyMissing before any was."""
        if self._book is None:
            raise PolicyMissing("no scoring policy is loaded; it is loaded when the service starts")
        return self._book

    async def refresh(self, tx: ReadTransaction) -> PolicyBook:
        """Notice what was loaded meanwhile; one short query where nothing was. Raises PolicyMissing if none is."""
        versions = frozenset((await tx.execute(_VERSIONS)).scalars())
        if self._book is None or versions != self._book.versions:
            self._book = None
            if versions:
                self._book = PolicyBook([_policy(row) for row in await tx.execute(_BODIES)])
        return self.book

    async def fetch(self, tx: ReadTransaction, versions: Iterable[str]) -> None:
        """Have these versions at hand, if they are loaded at all."""
        if self._book is None or not self._book.versions.issuperset(versions):
            await self.refresh(tx)


def _policy(row: Any) -> Policy:
    try:
        policy = parse_policy(f"policies/{row.version}", row.body.encode()).policy
    except PolicyError as error:  # by a newer release than this one: nobody is judged without it
        raise PolicyMissing(f"the loaded scoring policy {row.version!r} cannot be read: {error}") from error
    if (policy.version, policy.effective_from) != (row.version, row.effective_from):
        raise PolicyMissing(f"the loaded scoring policy {row.version!r} is not what its row says")
    return policy


async def listed(tx: ReadTransaction) -> Sequence[Mapping[str, Any]]:
    """All loaded policies, by first day."""
    return [_shown(row) for row in await tx.execute(_LIST)]


async def one(tx: ReadTransaction, version: str) -> Mapping[str, Any] | None:
    """One loaded policy, or None."""
    return next((_shown(row) for row in await tx.execute(_LIST) if row.version == version), None)


def _shown(row: Any) -> dict[str, Any]:
    return {"policy": _policy(row), **row._mapping}
