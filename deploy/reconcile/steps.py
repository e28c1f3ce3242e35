"""Compares the steps that people took with what was published of them, and the lock that an obligation's row holds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import asyncpg
from msgspec.structs import replace

from deploy.reconcile.differences import Difference, Teller
from deploy.reconcile.dossiers import Dossier
from deploy.reconcile.receipts import envelope, is_step, json_body
from deploy.reconcile.reference import Reference
from services.intake.lifecycle.handlers import event_of
from services.intake.lifecycle.states import History, Taken, Version
from services.intake.lifecycle.waiting import open_reviews
from shared.contract.events import RegimePublished
from shared.contract.events.verdicts import EXPLAINABLE

_BY = ("theo intake.steps", "by intake.steps")
_FIELDS = {name: "taken_by" if name == "by" else name for name in Taken.__struct_fields__}
#: kinds of steps that are facts of a version in scoring
_FACTS = frozenset({"certified", "approved", "rework", "withdrawn"})


def compare(dossier: Dossier, reference: Reference) -> Iterator[Difference]:
    """Every step against its event, and the lock of the obligation's row against steps and standing."""
    taken = [step_of(row) for row in dossier.steps]
    by_id = {step.step_id: step for step in taken}
    events = {
        str(body.get("step_id")): (event, body)
        for event in dossier.received
        if isinstance(body := json_body(event), dict) and is_step(event)
    }
    for row, step in zip(dossier.steps, taken, strict=True):
        key = f"{step.obligation} {step.step_id}"
        addressed = Teller("receipt", "intake.steps", key, "theo mã nghĩa vụ", "by the obligation's key")
        yield from addressed.values(row, {"agency": step.obligation.split("/", 1)[0]})
        if step.submission_id is not None and _version(dossier, step) is None:
            yield addressed.difference("submission_id", step.submission_id, "một bài nộp của nghĩa vụ / one of its own")
        found = events.pop(str(step.step_id), None)
        if found is None:
            if reference.archived_at("intake", row["stored_at"]):
                yield Teller("event", "intake.outbox_archive", key, *_BY).missing()
            continue
        event, body = found
        told = Teller("event", "intake.outbox_archive", f"{key} {event['event_id']}", *_BY)
        version = _version(dossier, step)
        # of an obligation alone the version of its regime is scoring's word
        regime_version = body.get("regime_version") if version is None else version.regime_version
        request = None if step.answers is None else by_id.get(step.answers)
        made = event_of(step, request, version, regime_version if isinstance(regime_version, int) else 0)
        yield from envelope(event, made.TYPE, told)
        yield from told.document(body, json.loads(made.encode()), "body")
        if version is None and not _known(dossier, regime_version):
            yield told.difference("body.regime_version", regime_version, "của nghĩa vụ / the obligation's")
    for event, body in events.values():
        by = ("theo sự kiện đã phát", "by the event published")
        key = f"{dossier.key} {body.get('step_id')} {event['event_id']}"
        yield Teller("receipt", "intake.steps", key, *by).missing()
    yield from _withdrawals(dossier, taken)
    yield from _lock(dossier, taken)
    yield from _open(dossier, taken, reference)


def _withdrawals(dossier: Dossier, taken: list[Taken]) -> Iterator[Difference]:
    """Validator's copy of the withdrawals against the steps."""
    wanted = {step.submission_id: step.at for step in taken if step.kind == "withdrawn"}
    found = {row["submission_id"]: row for row in dossier.withdrawals}
    for submission_id in sorted({*wanted, *found}, key=str):
        told = Teller("copy", "validator.withdrawal", f"{dossier.key} {submission_id}", *_BY)
        if submission_id not in found:
            yield told.missing()
        elif submission_id not in wanted:
            yield told.surplus()
        else:
            yield from told.values(found[submission_id], {"withdrawn_at": wanted[submission_id]})


def step_of(row: asyncpg.Record) -> Taken:
    return Taken(**{name: row[column] for name, column in _FIELDS.items()})


def facts_of(dossier: Dossier, submission_id: object) -> list[dict[str, Any]]:
    """What scoring must hold of the steps about a version, in their order."""
    found = []
    for step in map(step_of, dossier.steps):
        if step.submission_id != submission_id:
            continue
        kind = "accepted" if step.kind == "appeal_upheld" and step.effect == "accepted" else step.kind
        if kind == "accepted" or kind in _FACTS:
            rework = kind == "rework"
            found.append(
                {
                    "step_id": step.step_id, "kind": kind, "at": step.at, "reason": step.reason if rework else "",
                    "until": step.until if rework else None,
                }
            )  # fmt: skip
    return sorted(found, key=lambda fact: (fact["at"], fact["step_id"].int))


def _version(dossier: Dossier, step: Taken) -> Version | None:
    row: Mapping[str, Any] | None = next(
        (row for row in dossier.submissions if row["submission_id"] == step.submission_id), None
    )
    return None if row is None else _sent(row)


def _sent(row: Mapping[str, Any]) -> Version:
    return Version(
        row["submission_id"], row["version"], row["regime_version"], row["officer_id"], row["received_at"], row["nil"]
    )


def _known(dossier: Dossier, regime_version: object) -> bool:
    """Whether scoring has told of the obligation under this version of its regime."""
    told = {body.get("regime_version") for event in dossier.changed if isinstance(body := json_body(event), dict)}
    return not told or regime_version in told


def _lock(dossier: Dossier, taken: list[Taken]) -> Iterator[Difference]:
    standing = json.loads(dossier.standings[0]["document"]) if dossier.standings else {}
    unlocked = [step.until for step in taken if step.kind == "unlocked" and step.until is not None]
    if not dossier.counters:
        if standing.get("locks_at") or unlocked:
            yield Teller("copy", "intake.obligations", dossier.key, *_BY).missing()
        return
    row = dossier.counters[0]
    yield from Teller("copy", "intake.obligations", dossier.key, *_BY).values(
        row, {"unlocked_until": max(unlocked, default=None)}
    )
    by = ("theo intake.standings", "by intake.standings")
    yield from Teller("copy", "intake.obligations", dossier.key, *by).values(
        row, {"locks_at": standing.get("locks_at")}
    )


def _open(dossier: Dossier, taken: list[Taken], reference: Reference) -> Iterator[Difference]:
    """What waits for a signature, a review or a decision, derived again from versions, verdicts and steps."""
    verdicts = {row["submission_id"]: row for row in dossier.intake_verdicts}
    versions = [_judged(row, verdicts.get(row["submission_id"])) for row in dossier.submissions]
    history = History(dossier.key, versions, taken)
    agency, code, _ = ([*dossier.key.split("/", 2), "", ""])[:3]
    regime = reference.records.get(f"regime/{code}/{versions[-1].regime_version}") if versions else None
    if isinstance(regime, RegimePublished):
        history = replace(history, certification=regime.certification, review=regime.review)
    wanted = {(review.kind, review.about): review for review in open_reviews(history)}
    found = {(row["kind"], row["about"]): row for row in dossier.open_reviews}
    by = ("theo bài nộp, kết quả và các bước", "by versions, verdicts and steps")
    for kind, about in sorted({*found, *wanted}, key=str):
        told = Teller("copy", "intake.open_reviews", f"{dossier.key} {kind} {about}", *by)
        if (kind, about) not in found:
            yield told.missing()
        elif (kind, about) not in wanted:
            yield told.surplus()
        else:
            expected = {"agency": agency, "regime": code, "since": wanted[kind, about].since}
            yield from told.values(found[kind, about], expected)


def _judged(row: asyncpg.Record, verdict: asyncpg.Record | None) -> Version:
    version = _sent(row)
    if verdict is None:
        return version
    asks = verdict["outcome"] == "accepted" and any(map(_asks, json.loads(verdict["findings"])))
    return replace(version, outcome=verdict["outcome"], asks_to_explain=asks, decided_at=verdict["decided_at"])


def _asks(finding: dict[str, Any]) -> bool:
    if finding.get("weight") is not None:
        return bool(finding["weight"] == "confirm")
    return finding.get("severity") == "warning" and (bool(finding.get("explain")) or finding["code"] in EXPLAINABLE)
