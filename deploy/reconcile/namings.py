"""Compares the people told that a report names them with the people whom the published answers name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import asyncpg

from deploy.reconcile.differences import Difference, Teller
from deploy.reconcile.dossiers import Dossier, own_facts
from deploy.reconcile.reference import Reference
from services.notifier.ladders.domain import EMAIL
from services.notifier.planning.domain import Naming
from services.notifier.planning.naming import notice
from services.notifier.templates.compose import LETTER_FACTS
from shared.contract.events import RegimePublished, RequestIssued

STEP = "named"
_BY = ("lập lại từ sự kiện đã phát", "planned again from the events published")


def compare(
    dossier: Dossier, planned: Mapping[str, Naming], whole: bool, deadlines: set[datetime | None], reference: Reference
) -> Iterator[Difference]:
    """Compare notifier's namings of this obligation, and the letters kept under it.

    planned: the first naming of each person by the events, if these are `whole`. deadlines: every deadline it ever had.
    """
    noted = {row["officer_id"]: row for row in dossier.namings}
    for officer_id in sorted({*noted, *planned}):
        told = Teller("notice", "notifier.namings", f"{dossier.key} {officer_id}", *_BY)
        row, naming = noted.get(officer_id), planned.get(officer_id)
        if row is None:
            if whole:
                yield told.missing()
        elif naming is None:
            if whole:
                yield told.surplus()
        else:
            expected: dict[str, Any] = {"version": naming.version, "received_at": naming.received_at}
            if not (reference.scoring_was_rebuilt and row["at"] <= naming.at):  # it may be from what was told first
                expected["at"] = naming.at
            yield from told.values(row, expected)
    letters = {row["officer_id"]: row for row in dossier.notifications if row["step"] == STEP}
    reports: dict[str, list[asyncpg.Record]] = {}
    for row in dossier.letters:
        reports.setdefault(row["officer_id"], []).append(row)
    for officer_id in sorted({*letters, *reports} - {""}):
        told = Teller("notice", "notifier.notifications", f"{dossier.key} {STEP} {officer_id}", "theo notifier.namings",
                      "by notifier.namings")  # fmt: skip
        if officer_id not in letters:
            if "" in letters:  # the letter could reach nobody: the ledger says why
                continue
            for row in reports[officer_id]:
                about = Teller("notice", "notifier.namings", f"{row['obligation']} {officer_id}",
                               "theo notifier.notifications", "by notifier.notifications")  # fmt: skip
                yield about.difference("told_with", row["told_with"], "một thư / a letter")
        elif officer_id not in reports:
            yield told.surplus()
        else:
            yield from _letter(letters[officer_id], reports[officer_id], deadlines, reference, told)


def _letter(
    row: asyncpg.Record,
    reports: list[asyncpg.Record],
    deadlines: set[datetime | None],
    reference: Reference,
    told: Teller,
) -> Iterator[Difference]:
    first = reports[0]
    agency, regime, period = first["obligation"].split("/", 2)
    expected: dict[str, Any] = {
        "agency": agency, "regime": regime, "period": period, "kind": "named", "channel": EMAIL,
        "submission_version": first["version"],
    }  # fmt: skip
    yield from told.values(row, expected)
    officer = reference.directory.people.get(row["officer_id"])
    keys = [f"agency/{agency}", f"officer/{row['officer_id']}"]
    if officer is None or not reference.as_at(row["id"], keys):
        return
    if not row["resends"]:
        yield from told.values(row, {"recipient": officer.email})
    stored = own_facts(row)
    made = notice(row["officer_id"], [_report(entry, reference) for entry in reports], reference.directory,
                  row["created_at"])  # fmt: skip
    facts = LETTER_FACTS.dump_python(made.facts, mode="json")
    del facts["matters"]
    if any(not list(told.document(stored.get("deadline"), moment)) for moment in deadlines):
        facts["deadline"] = stored.get("deadline")
    yield from told.document(stored, facts, "facts")


def _report(row: asyncpg.Record, reference: Reference) -> dict[str, Any]:
    """Return the row as notifier's sweep reads it; names come from the registry."""
    agency, regime, period = row["obligation"].split("/", 2)
    record = reference.records.get(f"regime/{regime}/{row['regime_version']}")
    request = reference.records.get(f"request/{period}")
    return {
        "obligation": row["obligation"], "agency": agency, "regime": regime, "period": period,
        "regime_version": row["regime_version"], "version": row["version"], "received_at": row["received_at"],
        "at": row["at"], "officer_id": row["officer_id"], "deadline": None,
        "regime_name": record.name if isinstance(record, RegimePublished) else None,
        "regime_name_en": record.name_en if isinstance(record, RegimePublished) else None,
        "request": request.title if isinstance(request, RequestIssued) else None,
        "request_en": request.title_en if isinstance(request, RequestIssued) else None,
    }  # fmt: skip
