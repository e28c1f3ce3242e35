"""Compares notifier's escalations with the events that begin and end them, with the ladders, and with the ledger.

What the events say is when a climb begins and ends. Which rungs it has passed by then is its own word: each person it
names has a notice, and each notice of a rung is named. What notifier publishes of a climb is the climb.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from deploy.reconcile import channels
from deploy.reconcile.differences import Difference, Teller
from deploy.reconcile.dossiers import Dossier, Rows, own_facts
from deploy.reconcile.receipts import envelope, json_body
from deploy.reconcile.reference import Reference, kept_ladder, made_at
from services.notifier.escalation.domain import (
    AT_THE_TOP,
    WAITS_FOR,
    Climb,
    Escalation,
    Facts,
    Passed,
    Resolution,
    announce,
    next_move,
    resolution_of,
)
from services.notifier.escalation.publishing import event_of
from services.notifier.ladders.data import LadderError
from services.notifier.ladders.domain import EMAIL
from services.notifier.planning.domain import Notice, Obligation
from shared.contract.events import EscalationChanged

_BY = ("theo sự kiện đã phát", "by the events published")
#: states of an escalation notice that has left, or may have
_REACHED = ("sent", "in_data", "unknown")
#: what keeps a climb where it is; those of `error:` hold what was raised
_REASON = re.compile(rf"|{AT_THE_TOP}|no_calendar(:\d{{4}})?|{WAITS_FOR}\S+|error:.*", re.DOTALL)
_LEDGER = ("theo notifier.escalations", "by notifier.escalations")


@dataclass(slots=True)
class Episode:
    """A climb as the events tell it: since when, by which event, under which step, and how it ended."""

    opened_at: datetime
    event_id: UUID
    step: str
    resolved_at: datetime | None = None
    resolution: Resolution | None = None


@dataclass(slots=True)
class Episodes:
    """The climbs of one obligation, the oldest first."""

    found: list[Episode] = field(default_factory=list)

    def follow(self, before: Obligation, now: Obligation, at: datetime, event_id: UUID) -> None:
        """Take one applied event."""
        last = self.found[-1] if self.found else None
        why = resolution_of(before, now)
        if why is not None and last is not None and last.resolved_at is None:
            last.resolved_at, last.resolution = at, why
        if now.overdue_count > before.overdue_count:
            step = "overdue" if now.overdue_count == 1 else f"overdue/{now.overdue_count}"
            self.found.append(Episode(at, event_id, step))


def climb_of(row: asyncpg.Record) -> Climb | None:
    """What an escalation keeps as a document; None where it cannot be read."""
    try:
        return msgspec.json.decode(row["document"], type=Climb)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError):
        return None


def heads_at_once(dossier: Dossier, at: datetime) -> bool:
    """Whether the climb that began then told the head at once."""
    climbs = [climb_of(row) for row in dossier.escalations if row["opened_at"] == at]
    return all(climb is None or climb.ladder.tells_at_once(headless=climb.headless) for climb in climbs)


def announced(notices: tuple[Notice, ...], dossier: Dossier, obligation: Obligation, at: datetime,
              reference: Reference) -> tuple[Notice, ...]:  # fmt: skip
    """The notices that tell a head at once with the next rung, by the ladder of the climb that began then."""
    for row in dossier.escalations:
        climb = climb_of(row) if row["opened_at"] == at else None
        if climb is not None and climb.ladder.tells_at_once(headless=climb.headless):
            return announce(notices, climb.ladder, obligation, reference.current)
    return notices


def steps(dossier: Dossier) -> set[str]:
    """The steps of the ledger that escalations answer for."""
    found = set()
    for row in dossier.escalations:
        if (climb := climb_of(row)) is not None:
            found |= set(_wanted(climb)) | {f"{climb.step}/resolved"}
    return found


def _wanted(climb: Climb) -> dict[str, tuple[Passed, str, str]]:
    """step -> the rung, the person ('' where nobody), and why nobody."""
    found: dict[str, tuple[Passed, str, str]] = {
        handed.told.step: (Passed(handed.rung, handed.at), handed.told.person, "") for handed in climb.handed_on
    }
    for passed in climb.passed:
        at_once = [told for told in passed.told if told.step != f"{climb.step}/rung-{passed.rung}"]
        found.update({told.step: (passed, told.person, "") for told in passed.told})
        if at_once or (
            not passed.told and climb.ladder.tells_at_once(headless=climb.headless) and passed is climb.passed[0]
        ):
            found.update(
                {f"{climb.step}/rung-{place}": (passed, "", why) for place, why in enumerate(passed.skipped, 1)}
            )
        else:
            found.update(
                {f"{climb.step}/rung-{passed.rung}/{why}": (passed, "", why)
                 for why in passed.skipped if why != "told_before"}
            )  # fmt: skip
    return found


def compare(
    dossier: Dossier, episodes: Sequence[Episode], obligation: Obligation, whole: bool, reference: Reference
) -> Iterator[Difference]:
    """Compare the escalations of an obligation. whole: all its events are known."""
    rows = {row["opened_at"]: row for row in dossier.escalations}
    told = {episode.opened_at: episode for episode in episodes}
    if sorted(row["number"] for row in dossier.escalations) != list(range(1, len(dossier.escalations) + 1)):
        about = Teller("notice", "notifier.escalations", dossier.key, *_BY)
        yield about.difference("number", [row["number"] for row in dossier.escalations], "1, 2 …")
    for opened_at in sorted({*rows, *told}):
        row, episode = rows.get(opened_at), told.get(opened_at)
        about = Teller("notice", "notifier.escalations", f"{dossier.key} {opened_at.isoformat()}", *_BY)
        if row is None:
            if whole and episode is not None and _ladders_were_there(episode, reference):
                yield about.missing()
            continue
        about = Teller("notice", "notifier.escalations", f"{dossier.key} {row['number']}", *_BY)
        climb = climb_of(row)
        if climb is None:
            yield about.difference("document", "không đọc được / unreadable", "một lần chuyển cấp / an escalation")
            continue
        yield from _climb(row, climb, obligation, reference, about)
        if episode is not None:
            if climb.step != episode.step:
                yield about.difference("document.step", climb.step, episode.step)
            if whole:
                ended = {"resolved_at": episode.resolved_at, "resolution": episode.resolution}
                yield from about.values(row, ended)
        elif whole:
            yield about.surplus()
        yield from _ledger(dossier, row, climb)
        yield from _published(dossier, row, climb, episode, reference)
    numbers = {row["number"] for row in dossier.escalations}
    for number in sorted({*_published_of(dossier)} - numbers):
        about = Teller("notice", "notifier.escalations", f"{dossier.key} {number}", *_BY)
        yield about.missing()


def _published_of(dossier: Dossier) -> dict[int, Rows]:
    """The events about each climb, in the order in which they were published."""
    found: dict[int, Rows] = {}
    for event in dossier.climbed:
        body = json_body(event)
        number = body.get("number") if isinstance(body, dict) else None
        found.setdefault(number if isinstance(number, int) else 0, []).append(event)
    return found


def _published(
    dossier: Dossier, row: asyncpg.Record, climb: Climb, episode: Episode | None, reference: Reference
) -> Iterator[Difference]:
    """Compare what is published of a climb with the climb: versions without a gap, the newest one is what it is."""
    events = _published_of(dossier).get(row["number"], [])
    by = ("theo notifier.escalations", "by notifier.escalations")
    told = Teller("event", "notifier.outbox_archive", f"{dossier.key} {row['number']}", *by)
    if not events:
        known = episode is not None and reference.archived("notifier", episode.event_id)
        if row["version"] and known:
            yield told.missing()
        return
    versions = []
    for event in events:
        about = Teller("event", "notifier.outbox_archive", f"{dossier.key} {event['event_id']}", *by)
        yield from envelope(event, EscalationChanged.TYPE, about)
        body = json_body(event)
        versions.append(body.get("version") if isinstance(body, dict) else None)
    last = row["version"]
    if versions != list(range(last - len(versions) + 1, last + 1)):
        yield told.difference("version", versions, f"… {last}")
    kept = Escalation(
        row["obligation"], row["opened_at"], climb, row["next_at"], row["reason"], row["number"], row["resolved_at"],
        row["resolution"], row["version"], row["changed_at"],
    )  # fmt: skip
    if row["changed_at"] is None:
        yield told.difference("at", versions, "không có / none")
        return
    newest = json_body(events[-1])
    yield from told.document(newest, event_of(kept).model_dump(mode="json"), "body")


def _ladders_were_there(episode: Episode, reference: Reference) -> bool:
    loaded = [row["loaded_at"] for row in reference.tables["notifier", "ladders"]]
    return bool(loaded) and made_at(episode.event_id) > min(loaded)


def _climb(
    row: asyncpg.Record, climb: Climb, obligation: Obligation, reference: Reference, told: Teller
) -> Iterator[Difference]:
    ladder = climb.ladder
    yield from told.values(row, {"ladder": ladder.name, "ladder_version": ladder.version})
    bodies = {(loaded["name"], loaded["version"]): loaded["body"] for loaded in reference.tables["notifier", "ladders"]}
    try:
        kept = kept_ladder(bodies.get((ladder.name, ladder.version), ""))
    except LadderError:
        kept = None
    if ladder != kept:
        yield told.difference("document.ladder", ladder.label, "như đã nạp / as it was loaded")
    if climb.position != len(climb.passed):
        yield told.difference("document.position", climb.position, len(climb.passed))
    rungs = [rung.rung for rung in ladder.rungs[: len(climb.passed)]]
    if [passed.rung for passed in climb.passed] != rungs:
        yield told.difference("document.passed", [passed.rung for passed in climb.passed], rungs)
    for passed in climb.passed:
        for person in passed.told:
            known, key = reference.directory.known(person.person), f"officer/{person.person}"
            record = reference.records.get(key)
            # never changed, or not since by the system's clock: a played one is another
            same = (record is not None and record.version == 1) or reference.as_at(
                UUID(int=int(passed.at.timestamp() * 1000) << 80), [key]
            )
            if known is not None and person.agency != known.agency and same:
                yield told.difference("document.passed.told.agency", person.agency, known.agency)
    known_reason = row["reason"] == "" if row["resolved_at"] is not None else _REASON.fullmatch(row["reason"])
    if not known_reason:
        yield told.difference("reason", row["reason"], "lý do đã biết / a reason that there is")
    if row["resolved_at"] is None and row["reason"] in ("", AT_THE_TOP):
        if obligation.deadline is None or reference.current is None:
            return
        failed: set[tuple[str, str]] = set()
        facts = Facts(obligation, reference.directory, reference.current, None, failed)
        next_at, reason = next_move(climb, facts)
        yield from told.values(row, {"next_at": next_at, "reason": reason})


def _ledger(dossier: Dossier, row: asyncpg.Record, climb: Climb) -> Iterator[Difference]:
    wanted = _wanted(climb)
    rows: dict[str, list[asyncpg.Record]] = {}
    for notice in dossier.notifications:
        rows.setdefault(notice["step"], []).append(notice)
    for step, (passed, person, why) in sorted(wanted.items()):
        told = Teller("notice", "notifier.notifications", f"{dossier.key} {step}", *_LEDGER)
        found = [notice for notice in rows.get(step, ()) if notice["officer_id"] == person]
        if not found:
            about = Teller("notice", "notifier.escalations", f"{dossier.key} {row['number']}", "theo sổ thông báo",
                           "by the ledger of notices")  # fmt: skip
            yield about.difference("document.passed", f"{step} {person or why}", "một thông báo / a notice")
            continue
        for notice in channels.planned(found):
            by = channels.allowed(notice, channels.of_rung(climb.ladder, passed.rung))
            planned = {"kind": "escalation", "created_at": passed.at, "channel": by, **_addressed(dossier)}
            yield from told.values(notice, planned)
            urgent = next((rung.urgent for rung in climb.ladder.rungs if rung.rung == passed.rung), False)
            yield from told.values(notice, {"urgent": bool(passed.told) and bool(person) and urgent})
            if not person and notice["reason"] != why:
                yield told.difference("reason", notice["reason"], why)
            facts: Mapping[str, Any] = json.loads(notice["facts"])
            if step.endswith(f"/rung-{passed.rung}") and facts.get("ladder_rung") != passed.rung:
                yield told.difference("facts.ladder_rung", facts.get("ladder_rung"), passed.rung)
    people = {person for _, person, _ in wanted.values() if person}
    ways = (*(one for rung in climb.ladder.rungs for one in rung.channels), EMAIL)
    for ending in rows.get(f"{climb.step}/resolved", ()):
        told = Teller("notice", "notifier.notifications", f"{dossier.key} {ending['step']} {ending['id']}", *_LEDGER)
        if ending["officer_id"] not in people:
            yield told.difference("officer_id", ending["officer_id"], ", ".join(sorted(people)))
            continue
        expected = {
            "kind": "resolved",
            "created_at": row["resolved_at"],
            "submission_version": 0,
            "channel": channels.allowed(ending, ways),
            **_addressed(dossier),
        }
        yield from told.values(ending, expected)
        first = max(
            (notice for notice in dossier.notifications
             if notice["kind"] == "escalation" and notice["officer_id"] == ending["officer_id"]
             and notice["state"] in _REACHED and notice["step"].startswith(f"{climb.step}/")),
            key=lambda notice: notice["id"], default=None,
        )  # fmt: skip
        if first is None:
            yield told.difference("state", "không ai được báo / nobody was told", "sent")
            continue
        if not ending["resends"] and not first["resends"] and ending["recipient"] and first["recipient"]:
            yield from told.values(ending, {"recipient": first["recipient"]})
        ended = {"deadline": None, "standing": None, "resolution": row["resolution"]}
        yield from told.document(own_facts(ending), own_facts(first) | ended, "facts")


def _addressed(dossier: Dossier) -> dict[str, str]:
    parts = ([*dossier.key.split("/", 2), "", ""])[:3]
    return dict(zip(("agency", "regime", "period"), parts, strict=True))
