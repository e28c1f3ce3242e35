"""Sends what waits when its time has come: loads a few people's notices, decides, saves. Nothing here commits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, time
from typing import Any
from uuid import UUID

from msgspec.structs import replace
from sqlalchemy import RowMapping

from services.notifier import metrics
from services.notifier.mailing import store
from services.notifier.mailing.domain import Day, Hold, Matter, Release, Silences, decide
from services.notifier.mailing.store import RulesShelf
from services.notifier.planning.store import CalendarShelf
from shared.contract.reporting_window import local_day
from shared.postgres.database import Transaction
from shared.runtime.clock import LOCAL_ZONE, Clock


class MailingSweep:
    """`tick` is a ticker's; one instance sweeps at a time."""

    def __init__(self, business: Clock, system: Clock, limits: Mapping[str, int] | None = None) -> None:
        """limits: of short texts to one person in a day, by channel; of mails the mailing rules say it."""
        self._limits = limits or {}
        self._business = business
        self._system = system
        self._rules = RulesShelf()
        self._calendars = CalendarShelf()

    async def groups(self, tx: Transaction, kind: str) -> bool:
        """Whether several notices of this kind go out in one letter."""
        return kind in (await self._rules.newest(tx)).group

    async def tick(self, tx: Transaction) -> int:
        """Look at what waits for a few people; return how many people of whose notices one went out or moved."""
        now = self._business.now()
        people = await store.due(tx, now)
        if not people:
            return 0
        rows = await store.waiting(tx, people)
        rules, calendar = await self._rules.newest(tx), await self._calendars.current(tx)
        silences = Silences(await store.silences(tx, now, {row["agency"] for row in rows}))
        since = datetime.combine(local_day(now), time(0), LOCAL_ZONE)
        sent = await store.mails_since(tx, people, since)
        by_person: dict[tuple[str, str, str], list[RowMapping]] = {}  # and channel and address
        for row in rows:
            by_person.setdefault((row["officer_id"], row["channel"], row["recipient"]), []).append(row)
        holds: list[Hold] = []
        letters: list[tuple[UUID, UUID | None, str | None]] = []
        for (person, channel, _), waiting in by_person.items():
            known = {row["id"]: row for row in waiting}
            day = Day(now, calendar, sent.get((person, channel), 0))
            ours = replace(rules, mails_a_day=self._limits.get(channel, rules.mails_a_day))
            for outcome in decide([_matter(row) for row in waiting], ours, silences, day):
                match outcome:
                    case Hold():
                        holds.append(outcome)
                        metrics.MAILS_HELD_TOTAL.labels(outcome.why.partition(":")[0]).inc()
                    case Release(ids=ids):
                        letters += letter([known[notice] for notice in ids])
                        sent[person, channel] = sent.get((person, channel), 0) + 1
                        metrics.MATTERS_RELEASED_TOTAL.labels("together" if len(ids) > 1 else "alone").inc(len(ids))
        await store.hold(tx, holds)
        await store.release(tx, letters, now=now, system=self._system.now())
        return len(rows)


def _matter(row: RowMapping) -> Matter:
    ahead, digest = row["kind"] in ("reminder", "request"), row["kind"] == "digest"
    # a digest is about many agencies: a silence of one left it out of the table, and keeps back no whole letter
    agency, regime = ("", "") if digest else (row["agency"], row["regime"])
    return Matter(
        row["id"], row["kind"], agency, regime, row["officer_id"], row["wait_until"], row["urgent"],
        row["deadline"] if ahead else None, row["held"], alone=digest or _tells_of_several(row["facts"]),
    )  # fmt: skip


def _tells_of_several(facts: Mapping[str, Any]) -> bool:
    """Whether the letter lists several reports already: a line of another letter could name one of them only."""
    return len(facts.get("reports") or ()) + (facts.get("reports_left_out") or 0) > 1


def letter(matters: Sequence[RowMapping]) -> list[tuple[UUID, UUID | None, str | None]]:
    """The notices of one mail: the first carries it, with a table of all; one alone is its own letter."""
    if len(matters) == 1:
        return [(matters[0]["id"], None, None)]
    carrier = matters[0]["id"]
    table = json.dumps([line(row) for row in matters], ensure_ascii=False)
    return [(row["id"], carrier, table if row["id"] == carrier else None) for row in matters]


def line(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A matter as the letter's table keeps it. `row`: as store.waiting gives it."""
    facts = row["facts"]
    name = row["regime_name"] or row["regime"]
    deadline = facts.get("deadline") or (row["deadline"].isoformat() if row["deadline"] else None)
    return {
        "notice": str(row["id"]),
        "obligation": row["obligation"],
        "kind": row["kind"],
        "agency": facts["agency_name"],
        "agency_en": facts["agency_name_en"] or facts["agency_name"],
        "regime": name,
        "regime_en": row["regime_name_en"] or name,
        "period": row["period"],
        "request": row["request"] or "",
        "request_en": row["request_en"] or row["request"] or "",
        "deadline": deadline,
        "standing": facts.get("standing") or "",
        "resolution": facts.get("resolution") or "",
        "decision": facts.get("decision") or "",
        "next_role": facts.get("next_role") or "",
        "next_at": facts.get("next_at"),
        **({"regime_change": facts["regime_change"]} if facts.get("regime_change") else {}),
        "held": row["held"] if row["held"].startswith(("silence:", "limit:")) else "",
        # of a report that names the recipient: which version it is, and when it was received
        **{name: report[name] for report in facts.get("reports") or () for name in ("version", "received_at")},
    }
