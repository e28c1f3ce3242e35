"""Compares what the board keeps of an obligation with the newest event about each record, by its owner."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from deploy.reconcile.differences import Difference, Teller
from deploy.reconcile.dossiers import Dossier, Rows
from deploy.reconcile.receipts import is_step, json_body
from deploy.reconcile.reference import Reference


@dataclass(frozen=True, slots=True)
class _Copy:
    """A table of the board: by which column its rows and the events are told apart, and what both say."""

    table: str
    owner: str
    key: str
    columns: tuple[str, ...]
    documents: tuple[str, ...] = ()  # columns that hold a part of the event as JSON
    steps: bool = False  # of intake's events those that are steps
    absent: Mapping[str, Any] = field(default_factory=dict)  # what a body means that leaves a column out


_COPIES = (
    _Copy("reports", "intake", "submission_id",
          ("obligation", "version", "officer_id", "received_at", "sha256", "nil", "nil_reason", "declines")),
    _Copy("steps", "intake", "step_id",
          ("obligation", "kind", "at", "by", "role", "reason", "until", "version", "remedy"), steps=True,
          absent={"remedy": ""}),
    _Copy("verdicts", "validator", "submission_id",
          ("obligation", "version", "revision", "decided_at", "outcome", "errors", "warnings", "findings_truncated"),
          ("findings",), absent={"revision": 1, "findings_truncated": False}),
    _Copy("notices", "notifier", "notification_id",
          ("obligation", "kind", "step", "officer_id", "channel", "outcome", "at", "version")),
    _Copy("escalations", "notifier", "number",
          ("obligation", "number", "ladder", "ladder_version", "opened_at", "position", "next_rung", "next_role",
           "next_at", "reason", "held_until", "resolved_at", "resolution", "at", "version"),
          ("passed", "answers", "handed_on")),
)  # fmt: skip
_OBLIGATION = ("obligation", "agency", "regime", "period", "owed", "standing", "overdue", "on_time", "opens_at",
               "deadline", "answer_received_at", "grace_until", "score", "version")  # fmt: skip


def compare(dossier: Dossier, reference: Reference) -> Iterator[Difference]:
    """Every record of the board about the obligation."""
    yield from _obligation(dossier)
    events = {"reports": dossier.received, "steps": dossier.received, "verdicts": dossier.reached,
              "notices": dossier.recorded, "escalations": dossier.climbed}  # fmt: skip
    rows = {"reports": dossier.board_reports, "steps": dossier.board_steps, "verdicts": dossier.board_verdicts,
            "notices": dossier.board_notices, "escalations": dossier.board_escalations}  # fmt: skip
    for copy in _COPIES:
        found = {str(row[copy.key]): row for row in rows[copy.table]}
        said = _newest(copy, events[copy.table])
        for name in sorted({*found, *said}):
            told = _teller(copy.table, f"{dossier.key} {name}", copy.owner)
            if name not in found:
                yield told.missing()
            elif name not in said:
                if _is_surplus(copy, found[name], dossier, reference):
                    yield told.surplus()
            else:
                yield from told.values(found[name], _said(copy, said[name]))
                for column in copy.documents:
                    yield from told.document(json.loads(found[name][column]), said[name][column], column)


def _is_surplus(copy: _Copy, row: Mapping[str, Any], dossier: Dossier, reference: Reference) -> bool:
    """Whether a row that no event tells of is one too many: its owner's archive forgets what is old."""
    if copy.table == "escalations":
        return all(one["number"] != row["number"] for one in dossier.escalations)
    return reference.archived(copy.owner, row[copy.key])


def _obligation(dossier: Dossier) -> Iterator[Difference]:
    body = json_body(dossier.changed[-1]) if dossier.changed else None
    for table, rows in (("obligations", dossier.board_obligations), ("obligation_documents", dossier.board_documents)):
        told = _teller(table, dossier.key, "scoring")
        if not isinstance(body, dict):
            if rows and not dossier.obligations:
                yield told.surplus()  # scoring's archive may have forgotten the events of one that it keeps
        elif not rows:
            yield told.missing()
        elif table == "obligations":
            yield from told.values(rows[0], {column: body.get(column) for column in _OBLIGATION})
        else:
            yield from told.values(rows[0], {"version": body.get("version")})
            yield from told.document(json.loads(rows[0]["document"]), body, "document")


def _newest(copy: _Copy, events: Rows) -> dict[str, Mapping[str, Any]]:
    """The newest event of each record: events stand in the order in which they were published."""
    newest: dict[str, Mapping[str, Any]] = {}
    for event in events:
        body = json_body(event)
        if isinstance(body, dict) and (copy.owner != "intake" or is_step(event) == copy.steps):
            newest[str(body.get(copy.key))] = body
    return newest


def _said(copy: _Copy, body: Mapping[str, Any]) -> dict[str, Any]:
    return {column: body.get(column, copy.absent.get(column)) for column in copy.columns}


def _teller(table: str, key: str, owner: str) -> Teller:
    by = (f"theo sự kiện mới nhất của {owner}", f"by {owner}'s newest event")
    return Teller("copy", f"board.{table}", key, *by)
