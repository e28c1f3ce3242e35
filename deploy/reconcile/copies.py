"""Compares what intake keeps of obligations and notices with the newest event about each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

from deploy.reconcile.differences import Difference, Teller
from deploy.reconcile.dossiers import Dossier
from deploy.reconcile.receipts import envelope, json_body
from deploy.reconcile.reference import Reference
from shared.contract.events import NoticeRecorded, NotificationKind, NotificationRecorded

_STANDING = ("version", "agency", "regime", "regime_version", "period", "deadline", "standing", "owed", "overdue")
_NOTICE = ("kind", "officer_id", "channel", "outcome", "attempts")


def standings(dossier: Dossier, reference: Reference) -> Iterator[Difference]:
    """Compare intake's copy of the obligation's standing."""
    by = ("theo sự kiện mới nhất của scoring", "by scoring's newest event")
    told = Teller("copy", "intake.standings", dossier.key, *by)
    body = json_body(dossier.changed[-1]) if dossier.changed else None
    if not isinstance(body, dict):
        if any(reference.archived_at("scoring", row["updated_at"]) for row in dossier.standings):
            yield told.surplus()
        return
    if not dossier.standings:
        yield told.missing()
        return
    row = dossier.standings[0]
    yield from told.values(row, {name: body.get(name) for name in _STANDING} | {"changed_at": body.get("at")})
    yield from told.document(json.loads(row["document"]), body, "document")


def notices(dossier: Dossier, reference: Reference) -> Iterator[Difference]:
    """Compare intake's copy of notifications, and their events with notifier's ledger."""
    newest: dict[str, dict[str, Any]] = {}
    versions: list[object] = []
    for event in dossier.recorded:
        body = json_body(event)
        by = ("theo notifier.notifications", "by notifier.notifications")
        told = Teller("event", "notifier.outbox_archive", f"{dossier.key} {event['event_id']}", *by)
        kind = body.get("kind") if isinstance(body, dict) else None
        wanted = NotificationRecorded if kind in get_args(NotificationKind) else NoticeRecorded
        yield from envelope(event, wanted.TYPE, told)
        if isinstance(body, dict):
            newest[str(body.get("notification_id"))] = body
            versions.append(body.get("version"))
    yield from _recorded(dossier, newest, versions, reference)
    copies = {str(row["notification_id"]): row for row in dossier.notices}
    for name in sorted({*copies, *newest}):
        key = f"{dossier.key} {name}"
        told = Teller("copy", "intake.notices", key, "theo sự kiện mới nhất của notifier", "by notifier's newest event")
        copy, body = copies.get(name), newest.get(name)
        if copy is None:
            yield told.missing()
        elif body is None:
            if reference.archived("notifier", copy["notification_id"]):
                yield told.surplus()
        else:
            yield from told.values(
                copy, {column: body.get(column) for column in ("version", "agency", "obligation", "at")}
            )
            yield from told.document(
                json.loads(copy["document"]), {column: body.get(column) for column in _NOTICE}, "document"
            )


def _recorded(
    dossier: Dossier, newest: dict[str, dict[str, Any]], versions: list[object], reference: Reference
) -> Iterator[Difference]:
    """Check that the newest event of each notification equals its ledger row, and that versions have no gap."""
    by = ("theo notifier.notifications", "by notifier.notifications")
    ledger = {str(row["id"]): row for row in dossier.notifications}
    for name, body in newest.items():
        told = Teller("event", "notifier.outbox_archive", f"{dossier.key} {name}", *by)
        row = ledger.get(name)
        if row is None:
            yield told.surplus()
            continue
        expected = {
            "notification_id": row["id"], "at": row["settled_at"],
            **{column: row[column] for column in ("obligation", "agency", "kind", "step", "officer_id", "channel",
                                                  "message_id")},
        }  # fmt: skip
        mail = next((mail for mail in dossier.mails if mail["id"] == row["mail_id"]), row)
        expected["message_id"] = mail["message_id"]
        if row["state"] in ("sent", "unknown", "failed"):
            expected |= {"outcome": row["state"]} | ({"attempts": mail["attempts"]} if mail["due_at"] is None else {})
        yield from told.values(body, expected)
    for name, row in ledger.items():
        if (
            row["kind"] not in ("named", "digest", "regime")
            and row["settled_at"] is not None
            and name not in newest
            and reference.archived("notifier", row["id"])
        ):
            yield Teller("event", "notifier.outbox_archive", f"{dossier.key} {name}", *by).missing()
    last = dossier.told[0]["recorded_version"] if dossier.told else 0
    if versions != list(range(last - len(versions) + 1, last + 1)):
        told = Teller("copy", "notifier.obligations", dossier.key, "theo sự kiện đã phát", "by the events published")
        yield told.difference("recorded_version", last, versions[-1] if versions else 0)
