"""Counts every figure the demo shows from the databases, the topics and the mail sink, and from nothing else."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

from deploy.demo import topics
from deploy.demo.topics import Archived, Offsets, Unlike
from deploy.local import Stack
from shared.contract.events import OWNERS
from shared.contract.services import SERVICES
from shared.contract.subscriptions import SUBSCRIPTIONS, topics_of
from shared.kafka.clients import make_admin
from shared.runtime.settings import KafkaSettings

#: the owner of each topic, whose archive it is compared with
_WRITERS = {**OWNERS, **{f"{service}.dlq": service for service in SERVICES}}
_UNFINISHED_MAILS = (
    "state IN ('grouped', 'pending', 'claimed', 'in_data', 'retry') OR (state = 'waiting' AND wait_until <= $1)"
)
#: the others are told of in the mail of another
_A_MAIL = "(mail_id IS NULL OR mail_id = id)"
_LETTERS_DUE = "SELECT count(*) FROM notifications WHERE state = 'waiting' AND wait_until <= $1"
#: those told of most matters, the chair first
_READERS = """
    SELECT n.officer_id, coalesce(max(p.title), max(o.title), '') AS title, max(coalesce(p.agency, o.agency)) AS agency,
           count(*) AS matters, count(DISTINCT coalesce(n.mail_id, n.id)) AS mails,
           coalesce(bool_or(p.offices @> '[{"role": "chair"}]'), false) AS chair
      FROM notifications AS n
      LEFT JOIN people AS p ON p.person_id = n.officer_id LEFT JOIN officers AS o ON o.officer_id = n.officer_id
     WHERE n.state = 'sent' GROUP BY n.officer_id ORDER BY chair DESC, matters DESC, n.officer_id LIMIT 5
"""
_UNMARKED = "owed AND NOT overdue AND standing <> 'fulfilled' AND deadline < $1"
_ON_TIME = "CAST(document->'state'->>'on_time' AS boolean)"
_OBLIGATIONS = f"""
    SELECT agency, regime, count(*) AS owed, count(*) FILTER (WHERE {_ON_TIME}) AS on_time,
           count(*) FILTER (WHERE NOT {_ON_TIME}) AS late,
           count(*) FILTER (WHERE standing = 'nothing_sent') AS nothing_sent,
           count(*) FILTER (WHERE standing = 'returned') AS returned,
           count(*) FILTER (WHERE standing = 'awaiting_verdict') AS awaiting
      FROM obligations WHERE owed AND deadline < $1 GROUP BY agency, regime
"""
_NIL_ACCEPTED = """
    SELECT count(*) FROM submissions JOIN verdicts USING (submission_id) WHERE nil AND outcome = 'accepted'
"""
#: owed by the heir of an agency that closed while it owed them
_INHERITED = """
    SELECT count(*) AS inherited, count(*) FILTER (WHERE standing = 'fulfilled') AS fulfilled
      FROM obligations WHERE owed AND deadline < $1 AND terms->'origins' IS NOT NULL
"""
#: what agencies asked of others, as these agencies see it
_ASKED = """
    SELECT count(*) AS asked, count(*) FILTER (WHERE CAST(s.document->>'on_time' AS boolean)) AS in_time,
           count(*) FILTER (WHERE NOT CAST(s.document->>'on_time' AS boolean)) AS late
      FROM registry AS r JOIN standings AS s ON s.period = r.record->>'request_id'
     WHERE r.kind = 'request' AND r.record->>'asked_by' IS NOT NULL AND s.owed
"""


@dataclass(frozen=True, slots=True)
class Glance:
    """The figures shown while the quarter runs."""

    received: int
    accepted: int
    returned: int
    on_time: int
    overdue: int
    mails: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """Unfinished work; the system is at rest when all figures are zero."""

    unsent: int  # outbox rows
    lag: int  # events not yet applied by a consumer
    deferred: int  # deferred events
    undecided: int  # submissions without verdict at intake
    mails: int  # notifications not yet sent
    unmarked: int  # obligations past their deadline that are neither fulfilled nor marked overdue

    @property
    def total(self) -> int:
        return self.unsent + self.lag + self.deferred + self.undecided + self.mails + self.unmarked


@dataclass(slots=True)
class Row:
    """Obligations whose deadline has passed. `nothing_sent` and `returned` are overdue."""

    owed: int = 0
    on_time: int = 0
    late: int = 0
    nothing_sent: int = 0
    returned: int = 0
    awaiting: int = 0

    def add(self, other: Mapping[str, Any]) -> None:
        for name in ("owed", "on_time", "late", "nothing_sent", "returned", "awaiting"):
            setattr(self, name, getattr(self, name) + other[name])

    @property
    def overdue(self) -> int:
        return self.nothing_sent + self.returned + self.awaiting


@dataclass(frozen=True, slots=True)
class Reader:
    """How many matters one person was told, in how many mails."""

    title: str
    agency: str
    matters: int
    mails: int


@dataclass(slots=True)
class Count:
    """The final count."""

    submissions: int = 0
    accepted: int = 0
    returned: int = 0
    total: Row = field(default_factory=Row)
    by_kind: dict[str, Row] = field(default_factory=dict)
    by_regime: dict[str, Row] = field(default_factory=dict)
    mails: Counter[str] = field(default_factory=Counter)  # by kind; `several`: one mail for several matters
    matters: Counter[str] = field(default_factory=Counter)  # notices that some mail told, by kind
    matters_waiting: int = 0  # for a later window
    readers: tuple[Reader, ...] = ()
    lost_mails: int = 0  # sent according to the ledger, but not in the sink
    doubled_mails: int = 0  # in the sink more often than once plus once for each `unknown` attempt
    unsettled_mails: dict[str, int] = field(default_factory=dict)  # left failed or unknown, by state
    events: dict[str, int] = field(default_factory=dict)  # by topic
    unlike_archive: dict[str, Unlike] = field(default_factory=dict)  # by topic, where it differs
    dead_letters: int = 0
    outbox: int = 0
    lost_receipts: tuple[str, ...] = ()  # answered with 2xx, but not in the store
    steps: Counter[str] = field(default_factory=Counter)  # what people did with reports, by kind
    nil_accepted: int = 0  # reports that say, with a reason, that there was nothing to report
    inherited: int = 0  # owed by the heir of an agency that closed
    inherited_fulfilled: int = 0
    asked: int = 0  # agencies that others asked for information
    asked_in_time: int = 0  # of these, answered in time
    asked_late: int = 0


class Counting:
    """Read-only connections to all stores of one stack.

    `start`: the ends of the topics before the demo wrote; an outside cluster may hold events of earlier runs.
    """

    def __init__(self, stack: Stack, start: Offsets | None = None) -> None:
        self._stack = stack
        self._start = start or {}
        self._databases: dict[str, asyncpg.Connection] = {}
        self._turn = asyncio.Lock()  # a connection answers one question at a time; the merger asks beside the display
        self._kafka = KafkaSettings(bootstrap_servers=stack.kafka_bootstrap)

    async def __aenter__(self) -> Counting:
        for service in SERVICES:
            url = self._stack.database_url(service)
            self._databases[service] = await asyncpg.connect(
                url, timeout=10, command_timeout=60, server_settings={"default_transaction_read_only": "on"}
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._databases.values():
            await connection.close(timeout=5)

    async def glance(self) -> Glance:
        """A few cheap counts."""
        received = await self._one("intake", "SELECT count(*) FROM submissions")
        outcomes = await self._pairs("validator", "SELECT outcome, count(*) FROM verdict GROUP BY outcome")
        on_time = await self._one("scoring", f"SELECT count(*) FROM obligations WHERE owed AND {_ON_TIME}")
        overdue = await self._one("scoring", "SELECT count(*) FROM obligations WHERE overdue")
        mails = await self._one("notifier", f"SELECT count(*) FROM notifications WHERE state = 'sent' AND {_A_MAIL}")
        return Glance(received, outcomes.get("accepted", 0), outcomes.get("returned", 0), on_time, overdue, mails)

    async def opened(self) -> int:
        """The number of obligations that agencies can see; 0 while more are on their way."""
        opened = await self._one("scoring", "SELECT count(*) FROM obligations WHERE owed")
        return opened if opened == await self._one("intake", "SELECT count(*) FROM standings") else 0

    async def handed_on(self) -> bool:
        """Whether agencies see what they inherit."""
        seen = "SELECT count(*) FROM standings WHERE owed AND json_array_length(document->'transferred_from') > 0"
        return await self._one("intake", seen) > 0

    async def letters_due(self, now: datetime) -> int:
        """Notices that notifier has not looked at since they were due. `now`: business time."""
        return await self._one("notifier", _LETTERS_DUE, now)

    async def backlog(self, until: datetime) -> Backlog:
        """The unfinished work. Deadlines before `until` have passed in every service."""
        return Backlog(
            unsent=await self._everywhere("outbox"),
            lag=await self._lag(),
            deferred=await self._everywhere("deferred_events"),
            undecided=await self._one(
                "intake",
                "SELECT count(*) FROM submissions LEFT JOIN verdicts USING (submission_id) WHERE verdict_id IS NULL",
            ),
            mails=await self._one("notifier", f"SELECT count(*) FROM notifications WHERE {_UNFINISHED_MAILS}", until),
            unmarked=await self._one("scoring", f"SELECT count(*) FROM obligations WHERE {_UNMARKED}", until),
        )

    async def count(self, receipts: set[str], kinds: Mapping[str, str], until: datetime) -> Count:
        """The final count. `receipts`: ids answered with 2xx; `kinds`: by agency; deadlines before `until` count."""
        made = Count()
        stored = {str(row[0]) for row in await self._databases["intake"].fetch("SELECT submission_id FROM submissions")}
        made.submissions = len(stored)
        made.lost_receipts = tuple(sorted(receipts - stored))
        outcomes = await self._pairs("validator", "SELECT outcome, count(*) FROM verdict GROUP BY outcome")
        made.accepted, made.returned = outcomes.get("accepted", 0), outcomes.get("returned", 0)
        for row in await self._databases["scoring"].fetch(_OBLIGATIONS, until):
            made.total.add(row)
            made.by_kind.setdefault(kinds[row["agency"]], Row()).add(row)
            made.by_regime.setdefault(row["regime"], Row()).add(row)
        made.steps = Counter(await self._pairs("intake", "SELECT kind, count(*) FROM steps GROUP BY kind"))
        made.nil_accepted = await self._one("intake", _NIL_ACCEPTED)
        row = await self._databases["scoring"].fetchrow(_INHERITED, until)
        made.inherited, made.inherited_fulfilled = row["inherited"], row["fulfilled"]
        row = await self._databases["intake"].fetchrow(_ASKED)
        made.asked, made.asked_in_time, made.asked_late = row["asked"], row["in_time"], row["late"]
        await self._count_mails(made)
        ends = await topics.ends(self._kafka, _WRITERS)
        made.events = {topic: topics.since(self._start, ends, topic) for topic in OWNERS}
        buried = sum(topics.since(self._start, ends, topic) for topic in _WRITERS if topic not in OWNERS)
        made.dead_letters = max(buried, await self._everywhere("dead_letter"))
        made.outbox = await self._everywhere("outbox")
        made.unlike_archive = await self._unlike_archive()
        return made

    async def _count_mails(self, made: Count) -> None:
        """Compare the sink with the ledger by Message-ID; `?` is the kind of a mail missing from the ledger."""
        rows = await self._databases["notifier"].fetch(
            "SELECT message_id, CASE WHEN mail_id IS NULL THEN kind ELSE 'several' END AS kind, state, unknowns"
            f" FROM notifications WHERE {_A_MAIL}"
        )
        ledger = {row["message_id"]: row for row in rows}
        mails = Counter(mail.message_id for mail in await asyncio.to_thread(self._stack.mails))
        for message_id, times in mails.items():
            row = ledger.get(message_id)
            made.mails[str(row["kind"]) if row else "?"] += times
            made.doubled_mails += max(0, times - 1 - row["unknowns"]) if row else 0
        made.lost_mails = sum(row["state"] == "sent" and row["message_id"] not in mails for row in rows)
        told = "SELECT kind, count(*) FROM notifications WHERE state = 'sent' GROUP BY kind"
        made.matters = Counter(await self._pairs("notifier", told))
        made.matters_waiting = await self._one("notifier", "SELECT count(*) FROM notifications WHERE state = 'waiting'")
        made.readers = tuple(
            Reader(row["title"], row["agency"], row["matters"], row["mails"])
            for row in await self._databases["notifier"].fetch(_READERS)
        )
        made.unsettled_mails = dict(Counter(row["state"] for row in rows if row["state"] in ("failed", "unknown")))

    async def _unlike_archive(self) -> dict[str, Unlike]:
        """The topics that differ from their owner's archive."""
        lying = await topics.event_ids(self._kafka, list(_WRITERS), self._start)
        compacted = topics.compacted_topics()
        unlike = {}
        for topic, service in _WRITERS.items():
            rows = await self._databases[service].fetch(
                "SELECT event_id::text, key FROM outbox_archive WHERE topic = $1 ORDER BY id", topic
            )
            archived = [Archived(row["event_id"], row["key"]) for row in rows]
            if found := topics.compare(archived, lying[topic], compacted=topic in compacted):
                unlike[topic] = found
        return unlike

    async def _lag(self) -> int:
        """Events not yet committed by some consumer."""
        ends = await topics.ends(self._kafka, OWNERS)
        admin = make_admin(self._kafka, "thongsuot-demo")
        await admin.start()
        try:
            lag = 0
            for consumer in SUBSCRIPTIONS:
                read = topics_of(consumer)
                offsets = await admin.list_consumer_group_offsets(consumer)
                committed = {(place.topic, place.partition): held.offset for place, held in offsets.items()}
                lag += sum(
                    max(0, end - max(0, committed.get(place, 0))) for place, end in ends.items() if place[0] in read
                )
            return lag
        finally:
            await admin.close()

    async def _everywhere(self, table: str) -> int:
        return sum([await self._one(service, f"SELECT count(*) FROM {table}") for service in SERVICES])

    async def _one(self, service: str, query: str, *arguments: Any) -> int:
        async with self._turn:
            return int(await self._databases[service].fetchval(query, *arguments))

    async def _pairs(self, service: str, query: str) -> dict[str, Any]:
        async with self._turn:
            return {row[0]: row[1] for row in await self._databases[service].fetch(query)}
