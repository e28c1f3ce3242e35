"""Plans the digests of a round, some people at a time: loads what they answer for, composes, saves; never commits.

A round that was interrupted goes on behind the last person done, so nobody gets a digest of one day or week twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from services.notifier import metrics
from services.notifier.digests import store
from services.notifier.digests.domain import (
    KINDS,
    WEEK,
    Reader,
    agencies_of,
    below,
    content_sha256,
    is_empty,
    reader,
    round_of,
    soon,
)
from services.notifier.mailing.domain import Day
from services.notifier.mailing.store import RulesShelf
from services.notifier.planning import store as planning
from services.notifier.planning.domain import LetterFacts, Notice
from services.notifier.planning.store import CalendarShelf
from services.notifier.templates.compose import LETTER_FACTS
from shared.contract.events.registry import DigestKind
from shared.contract.reporting_window import local_day
from shared.postgres.database import Transaction
from shared.runtime.clock import LOCAL_ZONE, Clock


class DigestSweep:
    """`tick` is a ticker's; one instance sweeps at a time."""

    def __init__(self, business: Clock, system: Clock, *, message_id_domain: str) -> None:
        self._business = business
        self._system = system
        self._domain = message_id_domain
        self._rules = RulesShelf()
        self._calendars = CalendarShelf()
        self._done: dict[DigestKind, date] = {}

    async def tick(self, tx: Transaction) -> int:
        """Go on with a round that is due; return how many people were looked at."""
        day = Day(self._business.now(), await self._calendars.current(tx))
        rules = await self._rules.newest(tx)
        for kind in KINDS:
            on = round_of(kind, rules, day)
            if on is None or self._done.get(kind) == on:
                continue
            begun = await store.take_round(tx, kind, on, day.now - WEEK, day.now)
            people = [] if begun.done else await store.candidates(tx, begun.after)
            if not people:
                if not begun.done:
                    await store.save_round(tx, kind, on, after=begun.after, letters=0, done=True)
                self._done[kind] = on
                continue
            found = (reader(one.officer, one.person, one.chosen, local_day(day.now)) for one in people)
            readers = [one for one in found if one is not None and kind in one.kinds]
            letters = await self._plan(tx, kind, on, readers, begun, day)
            await store.save_round(tx, kind, on, after=people[-1].id, letters=letters, done=False)
            return len(people)
        return 0

    async def _plan(
        self, tx: Transaction, kind: DigestKind, on: date, readers: list[Reader], begun: store.Round, day: Day
    ) -> int:
        if not readers:
            return 0
        under = below(await store.tree(tx), local_day(day.now))
        parts = {
            (one.person.officer_id, agency, regime)
            for one in readers
            for agency, regime in agencies_of(one.parts, under)
        }
        until = soon(kind, day)
        open_ones = _by_person(await store.open_ones(tx, parts, begun.at, until))
        scores: dict[str, list[Mapping[Any, Any]]] = {}
        receipts: dict[str, list[Mapping[Any, Any]]] = {}
        if kind == "weekly":
            scores = _by_person(await store.scored(tx, parts, begun.since, begun.at))
            people = [one.person.officer_id for one in readers]
            receipts = _by_person(await store.received(tx, people, begun.since, begun.at))
        notices = []
        for one in readers:
            name = one.person.officer_id
            content = _content(
                kind, on, begun, until, open_ones.get(name, ()), scores.get(name, ()), receipts.get(name, ())
            )
            if not is_empty(content):
                notices.append(notice(one, content, begun.at))
        people = [one.officer.officer_id for one in notices if one.officer]
        await store.replace_waiting(tx, people, kind)
        for state in await planning.insert_notices(
            tx, notices, now=self._system.now(), domain=self._domain, waits_from=day.now
        ):
            metrics.PLANNED_TOTAL.labels(*state).inc()
        return len(notices)


def _by_person(rows: Iterable[Mapping[Any, Any]]) -> dict[str, list[Mapping[Any, Any]]]:
    found: dict[str, list[Mapping[Any, Any]]] = {}
    for row in rows:
        found.setdefault(row["person"], []).append(row)
    return found


def _content(
    kind: DigestKind,
    on: date,
    begun: store.Round,
    until: datetime,
    open_ones: Iterable[Mapping[Any, Any]],
    scores: Iterable[Mapping[Any, Any]],
    receipts: Iterable[Mapping[Any, Any]],
) -> dict[str, Any]:
    """What the letter states, as JSON. Moments are ISO 8601."""
    still_open, scored, received = list(open_ones), list(scores), list(receipts)
    late, due = ([row for row in still_open if row["overdue"] is overdue] for overdue in (True, False))
    return {
        "kind": kind,
        "on": on.isoformat(),
        "since": _moment(begun.since),
        "at": _moment(begun.at),
        "soon": _moment(until),
        "overdue": [_line(row) | {"standing": row["standing"] or ""} for row in late],
        "overdue_total": _total(late),
        "due": [_line(row) | {"standing": row["standing"] or ""} for row in due],
        "due_total": _total(due),
        "scores": [_line(row) | {"score": f"{row['score']:f}"} for row in scored],
        "scores_total": _total(scored),
        "scores_mean": f"{scored[0]['mean']:.2f}" if scored else "",
        "receipts": [
            _line(row) | {"version": str(row["version"]), "received_at": _moment(row["received_at"])}
            for row in received
        ],
        "receipts_total": _total(received),
    }  # fmt: skip


def _total(rows: list[Mapping[Any, Any]]) -> int:
    return rows[0]["total"] if rows else 0


def _line(row: Mapping[Any, Any]) -> dict[str, str | None]:
    """A report in a table of the letter, with its names."""
    agency, regime = row["agency_name"] or row["agency"], row["regime_name"] or row["regime"]
    return {
        "obligation": row["obligation"],
        "agency": agency,
        "agency_en": row["agency_name_en"] or agency,
        "regime": regime,
        "regime_en": row["regime_name_en"] or regime,
        "period": row["period"],
        "request": row["request"] or "",
        "request_en": row["request_en"] or row["request"] or "",
        "deadline": _moment(row["deadline"]) if row.get("deadline") else None,
    }


def _moment(value: datetime) -> str:
    return value.astimezone(LOCAL_ZONE).isoformat()


def notice(one: Reader, content: Mapping[str, Any], at: datetime) -> Notice:
    """The letter to a reader, kept in the ledger under the first report that it lists."""
    first = next(content[name][0] for name in ("overdue", "due", "scores", "receipts") if content[name])
    agency, regime, period = first["obligation"].split("/", 2)
    facts = LetterFacts(
        recipient_name=one.person.name,
        recipient_title=one.person.title,
        agency=agency,
        agency_name=first["agency"],
        agency_name_en=first["agency_en"],
        regime=regime,
        regime_version=0,
        period=period,
        deadline=None,
        standing=None,
        digest={**content, "sha256": ""},
    )
    digest = content_sha256(LETTER_FACTS.dump_python(facts, mode="json"))
    return Notice(
        obligation=first["obligation"],
        agency=agency,
        regime=regime,
        period=period,
        kind="digest",
        step=f"digest/{content['kind']}/{content['on']}",
        officer=one.person,
        facts=dataclasses.replace(facts, digest={**content, "sha256": digest}),
        at=at,
    )
