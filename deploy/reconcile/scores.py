"""Derives standing, score and lines again from each obligation's terms and facts, and facts from their owners."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from deploy.reconcile import steps
from deploy.reconcile.differences import Difference, Teller
from deploy.reconcile.dossiers import Dossier
from deploy.reconcile.receipts import json_body
from deploy.reconcile.reference import Reference
from services.scoring.calendar import CalendarGap
from services.scoring.obligations.domain import Line, Obligation, in_force, line_id, published
from services.scoring.obligations.standing import Derivation, stand
from services.scoring.obligations.store import decode
from shared.contract.events import ObligationChanged, VerdictReached

_WHERE = "scoring.obligations"
_STATE = ("tính lại từ điều khoản và sự việc", "derived again from terms and facts")
_COLUMNS = ("owed", "standing", "overdue", "deadline", "next_at")
_REWORK = ("rework_version", "rework_reason", "rework_until")
_LINE = ("component", "clause", "points", "cause", "cause_en", "policy_version")


def read(dossier: Dossier) -> Iterator[Obligation | Difference]:
    """Return the obligation as scoring stores it, or why it cannot be read."""
    if not dossier.obligations:
        return
    row = dossier.obligations[0]
    try:
        yield decode(row["obligation"], row["version"], row["terms"], row["document"])
    except (ValueError, ArithmeticError) as error:
        told = Teller("standing", _WHERE, dossier.key, "đọc được", "readable")
        yield told.difference("document", str(error)[:200], "một nghĩa vụ / an obligation")


def unknown(dossier: Dossier) -> Iterator[Difference]:
    """Name what scoring or others hold about an obligation that scoring does not have."""
    if dossier.submissions or dossier.changed:
        yield Teller("owed", _WHERE, dossier.key, "theo bản nộp và sự kiện", "by submissions and events").missing()
    if dossier.ledger:
        told = Teller("score", "scoring.score_lines", dossier.key, "theo scoring.obligations", "by scoring.obligations")
        yield told.surplus()


def columns(obligation: Obligation, dossier: Dossier) -> Iterator[Difference]:
    """Compare the columns beside the documents, and the moment at which it was opened."""
    row, versions = dossier.obligations[0], obligation.facts.versions
    told = Teller("standing", _WHERE, obligation.key, "theo tài liệu của nó", "by its document")
    yield from told.values(row, {name: getattr(obligation.state, name) for name in _COLUMNS})
    latest = obligation.facts.latest
    expected = {"received_at": None if latest is None else latest.received_at}
    yield from told.values(
        row, expected | dict(zip(("agency", "regime", "period"), _parts(obligation.key), strict=True))
    )
    hours = {version.received_at for version in versions}
    first = json_body(dossier.changed[0]) if dossier.changed else None
    if isinstance(first, dict) and "opened" in first.get("changes", ()):
        hours.add(datetime.fromisoformat(first["at"]))
    if hours and row["opened_at"] not in hours:
        opened = Teller("standing", _WHERE, obligation.key, "theo sự kiện mở kỳ", "by the event that opened it")
        yield opened.difference("opened_at", row["opened_at"], min(hours))


def standing(obligation: Obligation, reference: Reference) -> Iterator[Difference]:
    """Compare state and lines in force with what terms and facts give."""
    derived = derive(obligation, reference)
    if derived is None:
        told = Teller("standing", _WHERE, obligation.key, "phải được nạp", "must be loaded")
        wanted = f"{obligation.terms.policy_version}, {obligation.terms.calendar_version}"
        yield told.difference("terms", "không có lịch hoặc quy tắc / no such calendar or policy", wanted)
        return
    told = Teller("standing", _WHERE, obligation.key, *_STATE)
    for name in derived.state.__struct_fields__:
        kind = "score" if name == "score" else "standing"
        about = Teller(kind, _WHERE, obligation.key, *_STATE) if kind == "score" else told
        yield from about.document(getattr(obligation.state, name), getattr(derived.state, name), f"state.{name}")
    stored = Counter(tuple(getattr(line, name) for name in _LINE) for line in in_force(obligation.lines))
    policy = obligation.terms.policy_version
    deserved = Counter(
        (due.component, due.clause, due.points, due.cause, due.cause_en, policy) for due, _ in derived.lines
    )
    scored = Teller("score", _WHERE, obligation.key, *_STATE)
    for line in stored - deserved:
        yield scored.difference("lines", " · ".join(map(str, line)), None)
    for line in deserved - stored:
        yield scored.difference("lines", None, " · ".join(map(str, line)))


def derive(obligation: Obligation, reference: Reference) -> Derivation | None:
    """Derive its state; None without its policy and calendar."""
    policy = reference.policies.get(obligation.terms.policy_version)
    calendar = reference.calendars.get(obligation.terms.calendar_version)
    if policy is None or calendar is None or reference.current is None:
        return None
    try:
        return stand(obligation.terms, obligation.facts, policy, calendar)
    except CalendarGap:
        try:
            return stand(obligation.terms, obligation.facts, policy, reference.current)
        except CalendarGap:
            return None


def lines(obligation: Obligation, dossier: Dossier, reference: Reference) -> Iterator[Difference]:
    """Compare the ledger with the document, and check what holds for every line ever written."""
    ledger = {row["seq"]: row for row in dossier.ledger}
    written = {line.seq: line for line in obligation.lines}
    hours = {datetime.fromisoformat(body["at"]) for body in _bodies(dossier.changed)}
    causes = {event["event_id"] for event in (*dossier.changed, *dossier.reached, *dossier.received)}
    for seq in sorted({*ledger, *written}):
        key = f"{obligation.key}#{seq}"
        told = Teller("score", "scoring.score_lines", key, "theo tài liệu của nghĩa vụ", "by the obligation's document")
        row, line = ledger.get(seq), written.get(seq)
        if row is None:
            yield told.missing()
        elif line is None:
            yield told.surplus()
        else:
            yield from told.values(row, msgspec.structs.asdict(line))
            known = line.event_id is None or line.event_id in causes or not _archived(line.event_id, reference)
            yield from _line(line, written, hours, known, key)
    if [line.seq for line in obligation.lines] != list(range(1, len(obligation.lines) + 1)):
        told = Teller("score", _WHERE, obligation.key, "liền mạch", "without a gap")
        yield told.difference("lines.seq", [line.seq for line in obligation.lines], len(obligation.lines))


def _line(line: Line, written: Mapping[int, Line], hours: set[datetime], known: bool, key: str) -> Iterator[Difference]:
    told = Teller("score", _WHERE, key, "tính lại", "derived again")
    obligation = key.rpartition("#")[0]
    yield from told.values({"line_id": line.line_id}, {"line_id": line_id(obligation, line.seq)})
    published_at = Teller("score", _WHERE, key, "theo sự kiện đã phát", "by the events published")
    if hours and line.created_at not in hours:
        yield published_at.difference("lines.created_at", line.created_at, sorted(hours)[-1])
    if not known:
        yield published_at.difference("lines.event_id", line.event_id, "một sự kiện của nghĩa vụ / one of its events")
    if line.reverses is None:
        return
    taken = next((other for other in written.values() if other.line_id == line.reverses), None)
    if taken is None or taken.seq >= line.seq:
        yield told.difference("lines.reverses", line.reverses, "một dòng trước đó / an earlier line")
        return
    expected = {
        "component": taken.component, "clause": taken.clause, "points": -taken.points,
        "policy_version": taken.policy_version,
    }  # fmt: skip
    yield from told.values(msgspec.structs.asdict(line), expected)


def _archived(event_id: UUID, reference: Reference) -> bool:
    return all(reference.archived(service, event_id) for service in ("validator", "scoring"))


def facts(obligation: Obligation, dossier: Dossier, reference: Reference) -> Iterator[Difference]:
    """Compare scoring's facts about submissions, verdicts, reliefs, reminder and officer with their owners' records."""
    told = Teller("facts", _WHERE, obligation.key, "theo intake và validator", "by intake and validator")
    stored, owned = _versions_stored(obligation), _versions_owned(dossier)
    for version, other in zip(stored, owned, strict=False):
        _without_lost(version, other, reference)
        for verdict, its in zip(version["verdicts"], other["verdicts"], strict=False):
            if verdict["event_id"] is not None and not reference.archived("validator", verdict["event_id"]):
                # from a validator whose database was lost: the new one judged again, later, with the same result
                its |= {"event_id": verdict["event_id"], "decided_at": verdict["decided_at"]}
    yield from told.document(stored, owned, "facts.versions")
    reliefs = Teller("facts", _WHERE, obligation.key, "theo scoring.reliefs", "by scoring.reliefs")
    known = {scoped.relief.relief_id: scoped for scoped in reference.reliefs}
    for relief in obligation.facts.reliefs:
        scoped = known.get(relief.relief_id)
        expected = (
            None if scoped is None or not scoped.covers(obligation.key) else msgspec.structs.asdict(scoped.relief)
        )
        yield from reliefs.document(msgspec.structs.asdict(relief), expected, f"facts.reliefs.{relief.relief_id}")
    given = {relief.relief_id for relief in obligation.facts.reliefs}
    for scoped in reference.reliefs:
        if (
            scoped.relief.relief_id not in given
            and scoped.relief.status != "rejected"
            and _concerns(scoped, obligation)
        ):
            yield reliefs.difference(f"facts.reliefs.{scoped.relief.relief_id}", None, scoped.relief.status)
    yield from _reminder(obligation, dossier)
    yield from _designated(obligation, dossier, reference)


def _versions_stored(obligation: Obligation) -> list[dict[str, Any]]:
    return [
        {
            "number": version.number, "submission_id": version.submission_id, "received_at": version.received_at,
            "officer_id": version.officer_id, "nil": version.nil,
            "verdicts": [
                {
                    "revision": verdict.revision, "outcome": verdict.outcome, "decided_at": verdict.decided_at,
                    "required_items": verdict.required_items, "present_items": verdict.present_items,
                    "event_id": verdict.event_id, "findings": sorted(verdict.findings),
                }
                for verdict in version.verdicts
            ],
            "steps": [msgspec.structs.asdict(step) for step in version.steps],
            "unable_at": version.unable_at,
        }
        for version in obligation.facts.versions
    ]  # fmt: skip


def _without_lost(version: dict[str, Any], owned: dict[str, Any], reference: Reference) -> None:
    """Take out what a validator said whose database was lost: later revisions, and that it could not judge."""
    known = {(its["revision"], its["decided_at"]) for its in owned["verdicts"]}
    version["verdicts"] = [
        verdict
        for verdict in version["verdicts"]
        if verdict["revision"] == 1
        or (verdict["revision"], verdict["decided_at"]) in known
        or verdict["event_id"] is None
        or reference.archived("validator", verdict["event_id"])
    ]
    first, its = version["unable_at"], owned["unable_at"]
    if first is not None and (its is None or first < its) and not reference.archived_at("validator", first):
        owned["unable_at"] = first


def _earlier(row: asyncpg.Record, events: Mapping[str, Any]) -> dict[str, Any]:
    """What scoring keeps of a verdict that is in force no more, by the document that was published."""
    try:
        verdict = VerdictReached.model_validate_json(row["document"])
    except ValueError:
        return {}
    return {
        "revision": row["revision"], "outcome": verdict.outcome, "decided_at": verdict.decided_at,
        "required_items": verdict.required_items, "present_items": verdict.present_items,
        "event_id": events.get(str(row["verdict_id"])), "findings": sorted({one.code for one in verdict.findings}),
    }  # fmt: skip


def _versions_owned(dossier: Dossier) -> list[dict[str, Any]]:
    """Build the same from intake's submissions and validator's verdicts, in the order of receipt."""
    codes: dict[Any, set[str]] = {}
    for row in dossier.findings:
        codes.setdefault(row["verdict_id"], set()).add(row["code"])
    events = {str(body.get("verdict_id")): event["event_id"] for event, body in _with_bodies(dossier.reached)}
    verdicts = {row["submission_id"]: row for row in dossier.verdicts}
    unable = {row["submission_id"]: json.loads(row["document"]) for row in dossier.not_judged}
    earlier: dict[Any, list[dict[str, Any]]] = {}
    for row in dossier.earlier_verdicts:
        earlier.setdefault(row["submission_id"], []).append(_earlier(row, events))
    found = []
    for row in sorted(dossier.submissions, key=lambda row: (row["received_at"], row["version"])):
        verdict = verdicts.get(row["submission_id"])
        given = [] if verdict is None else [
            *earlier.get(row["submission_id"], []),
            {
                "revision": verdict["revision"], "outcome": verdict["outcome"], "decided_at": verdict["decided_at"],
                "required_items": verdict["required_items"], "present_items": verdict["present_items"],
                "event_id": events.get(str(verdict["verdict_id"])),
                "findings": sorted(codes.get(verdict["verdict_id"], ())),
            }
        ]  # fmt: skip
        found.append(
            {
                "number": row["version"], "submission_id": row["submission_id"], "received_at": row["received_at"],
                "officer_id": row["officer_id"], "nil": row["nil"], "verdicts": given,
                "steps": steps.facts_of(dossier, row["submission_id"]),
                "unable_at": _moment_of(unable.get(row["submission_id"])),
            }
        )  # fmt: skip
    return found


def _moment_of(said: dict[str, Any] | None) -> datetime | None:
    return None if said is None else datetime.fromisoformat(said["decided_at"])


def _concerns(scoped: Any, obligation: Obligation) -> bool:
    """Whether the relief covers it, as the sweep asks (obligations/store.py, `_COVERED`)."""
    relief, state = scoped.relief, obligation.state
    planned = obligation.terms.deadline
    received = None if obligation.facts.latest is None else obligation.facts.latest.received_at
    return (
        scoped.covers(obligation.key)
        and min(state.deadline, planned) <= relief.ends_at
        and (
            state.standing != "fulfilled"
            or state.deadline >= relief.starts_at
            or (received is not None and received >= relief.starts_at)
        )
    )


def _reminder(obligation: Obligation, dossier: Dossier) -> Iterator[Difference]:
    """Check that the reminder is the last one published."""
    reminder = obligation.facts.reminder
    told = [body for body in _bodies(dossier.changed) if "due_soon" in body.get("changes", ())]
    if not dossier.changed or (reminder is None and not told):
        return
    teller = Teller("facts", _WHERE, obligation.key, "theo sự kiện nhắc hạn", "by the event that reminded")
    stored = None if reminder is None else {"at": reminder.at, "deadline": reminder.deadline}
    expected = {"at": told[-1].get("at"), "deadline": told[-1].get("deadline")} if told else None
    yield from teller.document(stored, expected, "facts.reminder")


def _designated(obligation: Obligation, dossier: Dossier, reference: Reference) -> Iterator[Difference]:
    """Check who was on duty when the deadline passed with nothing sent; skipped where somebody has changed since."""
    passed_at, officer = obligation.facts.passed_at, obligation.facts.designated_officer_id
    told_of = [
        event["event_id"] for event, body in _with_bodies(dossier.changed) if "overdue" in body.get("changes", ())
    ]
    staff = reference.directory.officers.get(obligation.agency, ())
    if passed_at is None or not told_of:
        return
    if not reference.as_at(told_of[0], (f"officer/{person.officer_id}" for person in staff)):
        return
    sent = any(version.received_at <= passed_at for version in obligation.facts.versions)
    on_duty = [
        person
        for person in staff
        if person.active
        and person.role == "reporting_officer"
        and (not person.regimes or obligation.regime in person.regimes)
    ]
    named = sorted(on_duty, key=lambda person: (not person.regimes, person.officer_id))
    expected = named[0].officer_id if named else None
    if officer != expected and not (sent and officer is None):
        told = Teller("facts", _WHERE, obligation.key, "theo danh mục", "by the registry")
        yield told.difference("facts.designated_officer_id", officer, expected)


def events(obligation: Obligation, dossier: Dossier, reference: Reference) -> Iterator[Difference]:
    """Check that the newest event of the obligation equals its state, and that versions have no gap."""
    where, by = "scoring.outbox_archive", ("theo scoring.obligations", "by scoring.obligations")
    if not dossier.changed:
        heard = [row["updated_at"] for row in dossier.standings]
        if obligation.state.owed and (not heard or reference.archived_at("scoring", heard[0])):
            yield Teller("event", where, obligation.key, *by).missing()
        return
    versions = [body.get("version") for body in _bodies(dossier.changed)]
    first = versions[0] if versions and isinstance(versions[0], int) else 0
    if versions != list(range(first, first + len(dossier.changed))) or versions[-1:] != [obligation.version]:
        told = Teller("event", where, obligation.key, *by)
        yield told.difference("version", versions, f"… {obligation.version}")
    generation = reference.generation
    if generation is not None and obligation.version < generation["first_version"]:
        told = Teller(
            "event", "scoring.generation", obligation.key, "theo scoring.obligations", "by scoring.obligations"
        )
        yield told.difference("first_version", generation["first_version"], f"≤ {obligation.version}")
    for event in dossier.changed:
        told = Teller("event", where, f"{obligation.key} {event['event_id']}", *by)
        yield from told.values(event, {"type": ObligationChanged.TYPE, "headers": None})
    newest = dossier.changed[-1]
    body = json_body(newest)
    told = Teller("event", where, f"{obligation.key} {newest['event_id']}", *by)
    if not isinstance(body, dict):
        yield told.difference("body", "không đọc được / unreadable", "JSON")
        return
    try:
        at = datetime.fromisoformat(str(body.get("at")))
        made = published(obligation, tuple(body.get("changes", ())), at, reference.policies)
        expected = msgspec.json.decode(made.encode())
    except (ValueError, KeyError, TypeError) as error:
        yield told.difference("body", str(error)[:200], "như nghĩa vụ / as the obligation")
        return
    yield from told.document(body, expected | _untold(body, obligation), "body")


def _untold(body: Mapping[str, Any], obligation: Obligation) -> dict[str, Any]:
    """Return what the newest event says of parts that changed later without an event, if that was true once.

    A receipt alone causes no event: only its verdict does, or a deadline that passes meanwhile.
    """
    versions, state = obligation.facts.versions, obligation.state
    once: dict[str, Any] = {}
    if body.get("received_version") != (versions[-1].number if versions else None):
        receipts = {version.number: version.received_at.isoformat() for version in versions}
        number = body.get("received_version")
        if number is None or number in receipts:
            once |= {"received_version": number, "last_received_at": receipts.get(number) if number else None}
    if state.standing == "awaiting_verdict" and body.get("standing") in ("nothing_sent", "returned"):
        once["standing"] = body["standing"]
        once |= {name: body.get(name) for name in _REWORK}
    if state.answer is None:
        named = {(version.officer_id, "named") for version in versions}
        right = {(None, None), (obligation.facts.designated_officer_id, "designated"), *named}
        told = body.get("officer_id"), body.get("officer_basis")
        if told in right:
            once |= {"officer_id": told[0], "officer_basis": told[1]}
    return once


def _bodies(rows: list[asyncpg.Record]) -> list[dict[str, Any]]:
    return [body for _, body in _with_bodies(rows)]


def _with_bodies(rows: list[asyncpg.Record]) -> list[tuple[asyncpg.Record, dict[str, Any]]]:
    return [(row, body) for row in rows if isinstance(body := json_body(row), dict)]


def _parts(key: str) -> list[str]:
    return ([*key.split("/", 2), "", ""])[:3]
