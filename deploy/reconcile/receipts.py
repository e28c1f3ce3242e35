"""Compares submissions with their bodies, and every copy of them: events, verdicts, counters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import asyncpg

from deploy.reconcile.differences import Difference, Teller
from deploy.reconcile.dossiers import Dossier
from deploy.reconcile.reference import Reference
from shared.contract.events import SubmissionReceived, obligation_key
from shared.reports.report_parser import Report, read_report

_ADDRESSED = ("agency", "regime", "period")


def compare(dossier: Dossier, reference: Reference) -> Iterator[Difference]:
    """Compare every submission with its body, its key, its event, and the obligation's counter."""
    for row in dossier.submissions:
        yield from _submission(row, dossier, reference)
    yield from _versions(dossier)
    yield from _surplus_events(dossier)


def reports(dossier: Dossier) -> dict[object, Report | None]:
    """Parse each stored body, by submission id; None where it is no report."""
    found: dict[object, Report | None] = {}
    for row in dossier.submissions:
        report = read_report(row["body"])
        found[row["submission_id"]] = report if isinstance(report, Report) else None
    return found


def _submission(row: asyncpg.Record, dossier: Dossier, reference: Reference) -> Iterator[Difference]:
    key = f"{row['obligation']}#{row['version']}"
    body: bytes = row["body"]
    told = Teller("receipt", "intake.submissions", key, "tính lại từ nội dung lưu", "computed from the stored body")
    yield from told.values(row, {"sha256": hashlib.sha256(body).digest()})
    report = read_report(body)
    if not isinstance(report, Report):
        yield told.difference("body", "không đọc được / unreadable", "báo cáo / a report")
        return
    said = {
        "content_sha256": report.content_sha256(), "officer_id": report.officer, "nil": report.nil,
        "regime": report.regime, "period": report.period,
    }  # fmt: skip
    yield from told.values(row, said)
    addressed = Teller("receipt", "intake.submissions", key, "theo mã nghĩa vụ", "by the obligation's key")
    if obligation_key(row["agency"], row["regime"], row["period"]) != row["obligation"]:
        yield from addressed.values(row, dict(zip(_ADDRESSED, f"{row['obligation']}//".split("/", 2), strict=True)))
    event = next(
        (event for event in dossier.received if _names(event["body"], row["submission_id"]) and not is_step(event)),
        None,
    )
    if event is None:
        if reference.archived_at("intake", row["stored_at"]):
            by = ("theo intake.submissions", "by intake.submissions")
            yield Teller("event", "intake.outbox_archive", key, *by).missing()
        return
    expected = {
        name: row[name]
        for name in ("submission_id", "obligation", "agency", "regime", "regime_version", "period", "version",
                     "officer_id", "received_at", "nil")
    } | {"sha256": row["sha256"].hex(), "figures": report.figures, "narratives": report.narratives}  # fmt: skip
    body_told = Teller(
        "event", "intake.outbox_archive", f"{key} {event['event_id']}", "theo intake.submissions",
        "by intake.submissions",
    )  # fmt: skip
    yield from envelope(event, SubmissionReceived.TYPE, body_told)
    told_body = json_body(event)
    said_later = {
        "nil_reason": report.nil_reason, "declines": report.declines or None, "refer_to": report.refer_to or None,
        "tables": report.tables,
    }  # fmt: skip
    for name, value in said_later.items():
        if value or (isinstance(told_body, dict) and name in told_body):  # older events do not say it
            expected[name] = value
    yield from body_told.document(told_body, expected, "body")


def _versions(dossier: Dossier) -> Iterator[Difference]:
    """Check that versions are 1, 2, … without gap, and that the counter equals the last."""
    versions = [row["version"] for row in dossier.submissions]
    told = Teller("receipt", "intake.obligations", dossier.key, "theo intake.submissions", "by intake.submissions")
    if versions != list(range(1, len(versions) + 1)):
        gap = Teller("receipt", "intake.submissions", dossier.key, "phải liền mạch", "without a gap")
        yield gap.difference("version", versions, list(range(1, len(versions) + 1)))
    last = dossier.counters[0]["last_version"] if dossier.counters else None
    if last is None and versions:
        yield told.missing()
    elif last is not None and last != (versions[-1] if versions else 0):
        yield told.difference("last_version", last, versions[-1] if versions else 0)


def _surplus_events(dossier: Dossier) -> Iterator[Difference]:
    stored = {str(row["submission_id"]) for row in dossier.submissions}
    seen: set[str] = set()
    for event in dossier.received:
        if is_step(event):
            continue
        body = json_body(event)
        name = str(body.get("submission_id")) if isinstance(body, dict) else ""
        if name not in stored:
            by = ("theo sự kiện đã phát", "by the event published")
            yield Teller("receipt", "intake.submissions", f"{dossier.key} {name}", *by).missing()
        elif name in seen:
            yield Teller(
                "event", "intake.outbox_archive", f"{dossier.key} {event['event_id']}", "theo intake.submissions",
                "by intake.submissions",
            ).surplus()  # fmt: skip
        seen.add(name)


def envelope(event: asyncpg.Record, kind: str, told: Teller) -> Iterator[Difference]:
    """Check an event's columns beside its body: the type belongs to the topic, and there are no headers of its own."""
    yield from told.values(event, {"type": kind, "headers": None})


def json_body(event: asyncpg.Record) -> object:
    """Return the body as JSON values; None where it is not JSON."""
    try:
        return json.loads(event["body"]) if event["body"] is not None else None
    except ValueError:
        return None


def is_step(event: asyncpg.Record) -> bool:
    """Whether it tells of a step (steps.py): by what it says, for its type may be what is wrong."""
    body = json_body(event)
    return isinstance(body, dict) and "step_id" in body


def _names(body: bytes | None, submission_id: object) -> bool:
    return body is not None and str(submission_id).encode() in body
