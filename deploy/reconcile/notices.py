"""Plans every notice again from the events that were published, and compares notifier's ledger with it.

Notifier's own pure rules apply the events of an obligation in their order. A verdict may have come before or after a
change of the obligation: where the order decides, either outcome is right. The recipient of a notice is compared only
where nobody concerned has changed in the registry since.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from msgspec.structs import replace

from deploy.reconcile import channels, escalations, namings
from deploy.reconcile.differences import Difference, Teller
from deploy.reconcile.dossiers import Dossier, own_facts
from deploy.reconcile.receipts import is_step, json_body
from deploy.reconcile.reference import Reference, made_at
from services.notifier.delivery.states import message_id, other_message_id
from services.notifier.digests.domain import content_sha256
from services.notifier.ladders.domain import EMAIL
from services.notifier.mailing.sweep import line
from services.notifier.planning.decisions import TOLD_WITHIN, apply_not_judged, apply_step, judged_since
from services.notifier.planning.directory import NotYetRegistered
from services.notifier.planning.domain import (
    ABOUT_STEPS,
    Cancel,
    Naming,
    Notice,
    Obligation,
    apply_obligation_event,
    apply_returned_verdict,
)
from services.notifier.planning.handlers import news
from services.notifier.templates.compose import LETTER_FACTS
from shared.contract.events import LatenessStep, NotJudged, ObligationChanged, StepTaken, VerdictReached

_BY = ("lập lại từ sự kiện đã phát", "planned again from the events published")
#: columns that the newest event gives, and those that all events together give
_NEWEST = ("regime_version", "deadline", "standing", "version", "accepted_version", "owed", "reminded_at", "score",
           "policy_version")  # fmt: skip
_COUNTED = ("overdue", "overdue_count", "reminded_for", "reminder_count", "named_officer", "certify_version",
            "scored_at")  # fmt: skip
#: planned from another topic than the obligation's changes: which of both came first cannot be known here
_UNORDERED = ("returned", *ABOUT_STEPS)
#: whose events a notice is planned from
_PLANNED_FROM = {"returned": "validator", "decision": "intake", "withdrawal": "intake", "not_judged": "validator"}
#: leaves of a letter's facts that depend on the order of the verdict and a change of the obligation
_EITHER = ("deadline", "accepted_version")
#: what may have kept a notice back
_KEPT_BACK = ("quiet_until:", "limit:", "silence:")
_SETTLED = ("sent", "unknown", "failed")


class _Planned:
    """The notices that the events of one obligation call for."""

    def __init__(self, dossier: Dossier, reference: Reference) -> None:
        agency, regime, period = ([*dossier.key.split("/", 2), "", ""])[:3]
        self.notices: dict[str, list[Notice]] = {}
        self.cancels: list[Cancel] = []
        self.namings: dict[str, Naming] = {}
        self.deadlines: set[datetime | None] = {None}
        self.answers = {0}
        self.returned: set[int] = set()
        self.ever_not_owed = self.steps_told = False
        self.asked_by: UUID | None = None  # the event that first told of a request
        first = json_body(dossier.changed[0]) if dossier.changed else None
        # complete: neither scoring's archive nor notifier's ledger begins later than the obligation
        self.opened = isinstance(first, dict) and "opened" in first.get("changes", ()) and first.get("version") == 1
        self.whole = (self.opened or not dossier.changed) and not reference.tables["notifier", "told_before"]
        self.episodes = escalations.Episodes()
        obligation = Obligation(dossier.key, agency, regime, 0, period)
        for event in dossier.changed:
            try:
                said = ObligationChanged.model_validate_json(event["body"] or b"")
                at_once = escalations.heads_at_once(dossier, said.at)
                plan = apply_obligation_event(obligation, said, reference.directory, heads_at_once=at_once)
                notices = escalations.announced(plan.notices, dossier, plan.obligation, said.at, reference)
                plan = replace(plan, notices=notices)
            except (ValueError, NotYetRegistered):
                self.whole = False
                continue
            self.episodes.follow(obligation, plan.obligation, said.at, event["event_id"])
            if said.version > obligation.version:
                dossier.news += ((event["event_id"], message) for message in news(said, obligation, plan))
            obligation = plan.obligation
            if any(notice.kind == "request" for notice in plan.notices):
                self.asked_by = event["event_id"]
            if plan.naming is not None:  # a person told of it once is not told again
                self.namings.setdefault(plan.naming.officer_id, plan.naming)
            self._take(plan.notices, plan.cancels)
            self.deadlines.add(said.deadline)
            self.answers.add(said.answer_version or 0)
            self.ever_not_owed |= not said.owed
            if said.rework_version is not None and "returned" in said.changes:
                self.returned.add(said.rework_version)
        self.obligation = obligation
        for event in dossier.reached:
            try:
                if event["type"] == NotJudged.TYPE:
                    self._read_not_judged(event["body"] or b"", reference)
                    continue
                verdict = VerdictReached.model_validate_json(event["body"] or b"")
            except (ValueError, NotYetRegistered):
                continue
            if verdict.revision > 1:
                self.cancels.append(judged_since(verdict))
            if verdict.outcome != "returned":
                continue
            self.returned.add(verdict.version)
            # as if nothing else had come: this cannot be known here
            before = replace(obligation, verdict_version=0, accepted_version=0, owed=True)
            try:
                plan = apply_returned_verdict(before, verdict, reference.directory)
            except NotYetRegistered:
                continue
            self._take(plan.notices, plan.cancels)
        self._read_steps(dossier, reference)

    def _read_steps(self, dossier: Dossier, reference: Reference) -> None:
        for event in filter(is_step, dossier.received):
            try:
                model = LatenessStep if event["type"] == LatenessStep.TYPE else StepTaken
                step = model.model_validate_json(event["body"] or b"")
                plan = apply_step(replace(self.obligation, owed=True), step, reference.directory, step.at)
            except (ValueError, NotYetRegistered):
                self.whole = False
                continue
            self.steps_told |= bool(plan.notices)
            self._take(plan.notices, ())

    def _read_not_judged(self, body: bytes, reference: Reference) -> None:
        said = NotJudged.model_validate_json(body)
        before = replace(self.obligation, owed=True)
        plan = apply_not_judged(before, said, reference.directory, said.decided_at)
        self.steps_told = True
        self._take(plan.notices, ())

    def _take(self, notices: tuple[Notice, ...], cancels: tuple[Cancel, ...]) -> None:
        self.cancels += cancels
        for notice in notices:
            self.notices.setdefault(notice.step, []).append(notice)


def compare(dossier: Dossier, reference: Reference) -> Iterator[Difference]:
    """Compare notifier's copy of the obligation, its ledger, and the attempts of each notice."""
    planned = _Planned(dossier, reference)
    yield from _obligation(dossier, planned)
    yield from _ledger(dossier, planned, reference)
    yield from escalations.compare(dossier, planned.episodes.found, planned.obligation, planned.whole, reference)
    yield from namings.compare(dossier, planned.namings, planned.whole, planned.deadlines, reference)
    yield from _attempts(dossier)


def _obligation(dossier: Dossier, planned: _Planned) -> Iterator[Difference]:
    told = Teller("copy", "notifier.obligations", dossier.key, *_BY)
    if not dossier.told:
        if dossier.changed or planned.returned or planned.steps_told:
            yield told.missing()
        return
    row = dossier.told[0]
    if not dossier.changed and not planned.returned and not planned.steps_told:
        # what an agency is told of a regime version is kept under a name of its own
        if not dossier.obligations and not any(notice["kind"] == "regime" for notice in dossier.notifications):
            yield told.surplus()
        return
    parts = dict(zip(("agency", "regime", "period"), ([*dossier.key.split("/", 2), "", ""])[:3], strict=True))
    yield from told.values(row, parts)
    if dossier.changed:
        names: tuple[str, ...] = (*_NEWEST, *_COUNTED) if planned.whole else _NEWEST
        # '': its newest event came before the column was there
        names = tuple(name for name in names if name != "policy_version" or row[name])
        yield from told.values(row, {name: getattr(planned.obligation, name) for name in names})
    kept, answer = row["verdict_version"], planned.obligation.accepted_version
    newest = max(planned.returned, default=0)
    right = {newest} if not answer and planned.obligation.owed else {0, *planned.returned}
    if kept not in right:
        yield told.difference("verdict_version", kept, newest)


def _ledger(dossier: Dossier, planned: _Planned, reference: Reference) -> Iterator[Difference]:
    found: dict[str, list[asyncpg.Record]] = {}
    resent: dict[Any, list[asyncpg.Record]] = {}
    for order in dossier.resends:
        resent.setdefault(order["notification_id"], []).append(order)
    for row in dossier.notifications:
        orders = resent.get(row["id"], [])
        told = Teller("notice", "notifier.notifications", f"{dossier.key} {row['step']} {row['id']}", *_BY)
        yield from told.values(row, {"resends": len(orders)})
        yield from _message_id(row, orders, told)
        yield from _settled(row, told)
        yield from told.values(row, {"next_channels": channels.known(row)})
        yield from _next_contact(row, dossier, told, resent=bool(orders))
        yield from _mailed(row, dossier, told)
        yield from _matters(row, dossier, reference, told)
        yield from _kept_back_by(row, dossier, reference)
        if row["kind"] == "digest":
            yield from _digest(row, told)
        elif row["kind"] == "regime":
            yield from _regime(row, reference, told)
        elif json.loads(row["facts"]).get("instead_of"):
            yield from _instead(row, dossier, told)
        elif row["step"] != namings.STEP:
            found.setdefault(row["step"], []).append(row)
    climbed = escalations.steps(dossier)
    for step in sorted({*found, *planned.notices}):
        rows, wanted = channels.planned(found.get(step, [])), planned.notices.get(step, [])
        key = f"{dossier.key} {step}"
        told = Teller("notice", "notifier.notifications", key, *_BY)
        if not wanted:
            if planned.whole and step not in climbed:
                yield told.surplus()
            continue
        if not rows:
            told_by_itself = wanted[0].kind in ABOUT_STEPS or (wanted[0].kind != "returned" and planned.opened)
            if wanted[0].kind == "request":  # what was asked before notifier told of requests has no notice
                since = reference.requests_told_since
                told_by_itself &= since is not None and planned.asked_by is not None and planned.asked_by > since
            if told_by_itself or _must_be_told(wanted[0], planned):
                yield told.missing()
            continue
        if len(rows) > 1:
            yield told.difference("", len(rows), 1)
        for row in rows:
            yield from _notice(row, wanted[-1], planned, reference, resent.get(row["id"], []), told)


def _must_be_told(notice: Notice, planned: _Planned) -> bool:
    """Whether a return must have its notice: the report is owed, and nothing newer was returned or accepted."""
    return (
        notice.kind == "returned"
        and planned.obligation.owed
        and planned.obligation.accepted_version == 0
        and notice.submission_version >= max(planned.returned, default=0)
    )


def _notice(
    row: Mapping[str, Any],
    wanted: Notice,
    planned: _Planned,
    reference: Reference,
    orders: list[asyncpg.Record],
    told: Teller,
) -> Iterator[Difference]:
    expected: dict[str, Any] = {
        "agency": wanted.agency, "regime": wanted.regime, "period": wanted.period, "kind": wanted.kind,
        "submission_version": wanted.submission_version,
        "channel": channels.allowed(row, (*wanted.channels, EMAIL)),
    }  # fmt: skip
    # planned from an event of a lost archive, which was published again at another hour
    from_this_event = reference.archived(_PLANNED_FROM.get(wanted.kind, "scoring"), row["id"])
    if from_this_event:
        expected["created_at"] = wanted.at
    yield from told.values(row, expected)
    if _as_then(wanted, row["id"], reference):
        officer = wanted.officer
        yield from told.values(row, {"officer_id": officer.officer_id if officer else ""})
        if not orders and row["channel"] == EMAIL:
            yield from told.values(row, {"recipient": officer.email if officer else None})
        if (row["state"] == "skipped") != (officer is None):
            yield told.difference("state", row["state"], "skipped" if officer is None else "pending, sent …")
        if from_this_event:
            yield from _facts(row, wanted, planned, reference, told)
    yield from _state(row, wanted, planned, reference, told)


def _as_then(wanted: Notice, made: UUID, reference: Reference) -> bool:
    """Whether all candidates are still what they were when the notice was planned."""
    directory = reference.directory
    ahead = [wanted.agency]
    keys: set[str] = set()
    while ahead:
        code = ahead.pop()
        if f"agency/{code}" in keys:
            continue
        keys.add(f"agency/{code}")
        keys |= {f"officer/{person.officer_id}" for person in directory.officers.get(code, ())}
        agency = directory.agencies.get(code)
        ahead += agency.above.ever() if agency else ()
    if wanted.kind in ABOUT_STEPS:
        keys |= {f"person/{person_id}" for person_id in directory.persons}
    return reference.as_at(made, keys)


def _facts(
    row: asyncpg.Record, wanted: Notice, planned: _Planned, reference: Reference, told: Teller
) -> Iterator[Difference]:
    stored = own_facts(row)
    expected = LETTER_FACTS.dump_python(wanted.facts, mode="json")
    if wanted.kind in _UNORDERED:
        choices: dict[str, list[object]] = {
            "deadline": [moment and moment.isoformat() for moment in planned.deadlines],
            "accepted_version": list(planned.answers),
        }
        for name in _EITHER:
            if any(not list(told.document(stored.get(name), choice)) for choice in choices[name]):
                expected = expected | {name: stored.get(name)}
    if wanted.kind == "escalation":
        nothing_said = not stored.get("next_role") and stored.get("next_at") is None  # no calendar was there yet
        if nothing_said or len(reference.tables["notifier", "calendars"]) > 1:  # or another one was
            expected = expected | {name: stored.get(name) for name in ("next_role", "next_at")}
    del expected["matters"]
    yield from told.document(stored, expected, "facts")


def _message_id(row: asyncpg.Record, orders: list[asyncpg.Record], told: Teller) -> Iterator[Difference]:
    """Check that it is derived from obligation, step, recipient and channel; only its domain is a setting."""
    domain = row["message_id"].rpartition("@")[2].rstrip(">")
    expected = message_id(row["obligation"], row["step"], row["officer_id"], row["channel"], domain)
    right = {expected} | {other_message_id(expected, order["recipient"], domain) for order in orders}
    if row["message_id"] not in right:
        about = Teller(told.kind, told.where, told.key, "tính lại", "derived again")
        yield about.difference("message_id", row["message_id"], expected)
    for order in orders:
        about = Teller("notice", "notifier.resends", f"{told.key} {order['id']}", "tính lại", "derived again")
        for column in ("message_id", "from_message_id"):
            if order[column] not in right:
                yield about.difference(column, order[column], expected)
    if orders:
        last = Teller(told.kind, told.where, told.key, "theo notifier.resends", "by notifier.resends")
        yield from last.values(row, {"recipient": orders[-1]["recipient"], "message_id": orders[-1]["message_id"]})


def _why_no_step_is_told(row: asyncpg.Record, wanted: Notice, planned: _Planned, reference: Reference) -> set[str]:
    reasons = {"not_owed"} if planned.ever_not_owed else set()
    # how old it was when it was read: only where both clocks are one
    if not reference.business_is_system_time or made_at(row["id"]) - wanted.at > TOLD_WITHIN:
        reasons.add("too_old")
    return reasons


def _state(
    row: asyncpg.Record, wanted: Notice, planned: _Planned, reference: Reference, told: Teller
) -> Iterator[Difference]:
    state, reason = row["state"], row["reason"]
    if state == "cancelled":
        reasons = {cancel.reason for cancel in planned.cancels if cancel.covers(wanted)} | {"told_before"}
        if wanted.kind == "returned":
            reasons |= {"accepted", "fulfilled", "superseded_by_newer_version", "not_owed"}
        if wanted.kind in ABOUT_STEPS:
            reasons |= _why_no_step_is_told(row, wanted, planned, reference)
        if planned.whole and reason not in reasons:
            yield told.difference("reason", reason, ", ".join(sorted(reasons)))
        by_cancel = any(cancel.covers(wanted) for cancel in planned.cancels)
        if not by_cancel and wanted.kind not in _UNORDERED and planned.whole:
            yield told.difference("state", state, "sent")
    elif state == "skipped" and wanted.officer is None and wanted.skipped is not None and reason != wanted.skipped:
        yield told.difference("reason", reason, wanted.skipped)


def _settled(row: asyncpg.Record, told: Teller) -> Iterator[Difference]:
    """Check the columns that a state implies."""
    state = row["state"]
    if state in ("sent", "pending", "claimed", "in_data") and row["reason"] is not None:
        yield told.difference("reason", row["reason"], None)
    if row["due_at"] is not None and state not in ("pending", "retry", "unknown"):
        yield told.difference("due_at", row["due_at"], None)
    if (row["token"] is None) != (row["lease_until"] is None):
        yield told.difference("lease_until", row["lease_until"], row["token"])
    if (row["settled_at"] is not None) < (state in _SETTLED):
        yield told.difference("settled_at", None, "giờ gửi / when it was sent")


def _mailed(row: asyncpg.Record, dossier: Dossier, told: Teller) -> Iterator[Difference]:
    """Check what waiting and sharing a mail imply. Where nothing waits these columns are empty."""
    if row["urgent"] and row["kind"] != "escalation":
        yield told.difference("urgent", True, False)
    if (row["state"] == "waiting") != (row["wait_until"] is not None):
        yield told.difference("wait_until", row["wait_until"], row["state"])
    waited, held = row["released_at"] is not None, row["held"]
    if waited and held is None:
        yield told.difference("released_at", row["released_at"], None)
    elif held is not None and not waited and row["state"] != "cancelled":
        yield told.difference("held", held, None)
    elif held and not held.startswith(_KEPT_BACK):
        yield told.difference("held", held, ", ".join(_KEPT_BACK))
    if waited and row["released_at"] < row["created_at"]:
        yield told.difference("released_at", row["released_at"], f"≥ {row['created_at']}")
    if row["mail_id"] is None:
        return
    if not waited:
        yield told.difference("mail_id", row["mail_id"], None)
    if row["mail_id"] == row["id"]:
        return
    mail = next((mail for mail in dossier.mails if mail["id"] == row["mail_id"]), None)
    if mail is None or mail["mail_id"] != mail["id"]:
        yield told.difference("mail_id", row["mail_id"], "thư có việc này / a mail that tells of it")
    elif mail["state"] in _SETTLED and row["state"] != mail["state"]:
        yield told.difference("state", row["state"], mail["state"])


def _matters(row: Mapping[str, Any], dossier: Dossier, reference: Reference, told: Teller) -> Iterator[Difference]:
    """Compare the table of a letter about several matters with the notices that share its mail."""
    stored = json.loads(row["facts"]).get("matters") or []
    members = [member for member in dossier.matters if member["mail_id"] == row["id"] == row["mail_id"]]
    expected = [line({**member, "facts": json.loads(member["facts"])}) for member in members]
    for found, wanted, member in zip(stored, expected, members, strict=False):
        names = f"regime/{member['regime']}/{member['regime_version']}", f"request/{member['period']}"
        if not reference.as_at(member["id"], [name for name in names if name in reference.changed_at]):
            wanted |= {name: found.get(name) for name in ("regime", "regime_en", "request", "request_en")}
        if json.loads(member["facts"]).get("deadline") is None:  # the obligation's, which may have moved since
            wanted["deadline"] = found.get("deadline")
    yield from told.document(stored, expected, "facts.matters")


def _digest(row: Mapping[str, Any], told: Teller) -> Iterator[Difference]:
    """Check that a digest is as it was composed, and the only one of its kind to its reader on its day."""
    facts = json.loads(row["facts"])
    content = facts.get("digest") or {}
    right = content_sha256(facts)
    if content.get("sha256") != right:
        yield told.difference("facts.digest.sha256", content.get("sha256"), right)
    agency, regime, period = ([*row["obligation"].split("/", 2), "", ""])[:3]
    expected = {
        "kind": "digest", "step": f"digest/{content.get('kind')}/{content.get('on')}", "channel": EMAIL,
        "agency": agency, "regime": regime, "period": period, "submission_version": 0,
    }  # fmt: skip
    yield from told.values(row, expected)


def _next_contact(row: Mapping[str, Any], dossier: Dossier, told: Teller, *, resent: bool) -> Iterator[Difference]:
    """Check that only what has failed went on, and to somebody who has a notice of the same step."""
    word = row["next_contact"]
    if word is None:
        return
    person = word.removeprefix("person:")
    if person == word:
        right = word in ("nobody", "by_the_ladder", "not_so", "before")
    else:
        right = any((other["step"], other["officer_id"]) == (row["step"], person) for other in dossier.notifications)
    if not right or not (row["state"] == "failed" or resent):
        yield told.difference("next_contact", word, None)


def _instead(row: Mapping[str, Any], dossier: Dossier, told: Teller) -> Iterator[Difference]:
    """Check that a notice to the next contact follows one of the same step that says so."""
    by = f"person:{row['officer_id']}"
    if not any(other["step"] == row["step"] and other["next_contact"] == by for other in dossier.notifications):
        yield told.surplus()


def _regime(row: Mapping[str, Any], reference: Reference, told: Teller) -> Iterator[Difference]:
    """Check that a letter about a regime version is of a version that is published, and kept under its name."""
    agency, regime, period = ([*row["obligation"].split("/", 2), "", ""])[:3]
    number = period.removeprefix("version/")
    expected = {
        "step": f"regime/{number}", "channel": EMAIL, "agency": agency, "regime": regime, "period": period,
        "submission_version": 0,
    }  # fmt: skip
    yield from told.values(row, expected)
    if number not in {str(version.regime_version) for version in reference.regimes.get(regime, ())}:
        yield told.surplus()


def _kept_back_by(row: asyncpg.Record, dossier: Dossier, reference: Reference) -> Iterator[Difference]:
    """Check that the rules by which a notice went out, and the silence that kept it back, are there."""
    by = ("theo notifier.notifications", "by notifier.notifications")
    if row["released_at"] is not None and not reference.tables["notifier", "mailing_rules"]:
        yield Teller("notice", "notifier.mailing_rules", dossier.key, *by).missing()
    name = row["reason"] if row["state"] == "waiting" else row["held"]
    if not (name or "").startswith("silence:"):
        return
    silence = next((one for one in reference.tables["notifier", "silences"] if f"silence:{one['id']}" == name), None)
    if silence is None:
        yield Teller("notice", "notifier.silences", f"{dossier.key} {row['id']}", *by).missing()
    elif row["state"] == "waiting" and silence["ended_at"] is None:
        told = Teller("notice", "notifier.notifications", f"{dossier.key} {row['step']} {row['id']}",
                      "theo notifier.silences", "by notifier.silences")  # fmt: skip
        yield from told.values(row, {"wait_until": silence["until"]})


def _attempts(dossier: Dossier) -> Iterator[Difference]:
    """Check the number of attempts that each notice states, and how they ended."""
    tries: dict[Any, list[asyncpg.Record]] = {}
    for row in dossier.attempts:
        tries.setdefault(row["notification_id"], []).append(row)
    if not dossier.key:
        for row in dossier.attempts:
            yield Teller("notice", "notifier.attempts", str(row["token"]), "theo notifier.notifications").surplus()
        for row in dossier.resends:
            yield Teller("notice", "notifier.resends", str(row["id"]), "theo notifier.notifications").surplus()
        return
    for row in dossier.notifications:
        made = tries.get(row["id"], [])
        key = f"{dossier.key} {row['step']} {row['id']}"
        told = Teller("notice", "notifier.notifications", key, "theo notifier.attempts", "by notifier.attempts")
        ended = [entry["outcome"] for entry in made]
        expected = {
            "attempts": len(made),
            "refusals": ended.count("refused"),
            "first_tried_at": min((entry["claimed_at"] for entry in made), default=None),
        }
        yield from told.values(row, expected)
        unsure = ended.count("unknown") + sum(entry["late"] and entry["outcome"] != "unknown" for entry in made)
        if row["mail_id"] not in (None, row["id"]):
            continue  # another notice has the attempts
        if row["unknowns"] < ended.count("unknown") or row["unknowns"] > max(unsure, ended.count("unknown")):
            yield told.difference("unknowns", row["unknowns"], unsure)
        bounced = row["state"] == "failed" and (row["reason"] or "").startswith("bounced: ")
        if (row["state"] == "sent" or bounced) != ("sent" in ended) and not (bounced and row["unknowns"]):
            yield told.difference("state", row["state"], ", ".join(map(str, ended)) or None)
        if row["token"] is not None and all(entry["token"] != row["token"] for entry in made):
            yield told.difference("token", row["token"], None)
        yield from _each_attempt(made, key, row["unknowns"])


def _each_attempt(made: list[asyncpg.Record], key: str, unknowns: int) -> Iterator[Difference]:
    by = ("theo notifier.notifications", "by notifier.notifications")
    numbers = [entry["number"] for entry in made]
    if sorted(numbers) != list(range(1, len(made) + 1)):
        told = Teller("notice", "notifier.attempts", key, *by)
        yield told.difference("number", sorted(numbers), list(range(1, len(made) + 1)))
    unsure = False
    for entry in sorted(made, key=lambda entry: entry["number"]):
        told = Teller("notice", "notifier.attempts", f"{key}#{entry['number']}", *by)
        if (entry["resend"] and not unsure) or (
            # a lease that ran out in DATA left the outcome unknown, until the answer came late
            entry["late"] and not unsure and entry["outcome"] == "sent" and len(made) == 1 and not unknowns
        ):
            yield told.difference("resend" if entry["resend"] else "late", True, False)
        unsure = unsure or entry["outcome"] == "unknown" or entry["late"] or entry["outcome"] == "expired"
        moments = [entry[name] for name in ("claimed_at", "in_data_at", "ended_at") if entry[name] is not None]
        if moments != sorted(moments):
            yield told.difference("in_data_at", entry["in_data_at"], "claimed_at ≤ in_data_at ≤ ended_at")
        if entry["outcome"] == "sent" and (entry["stage"] != "body" or not 200 <= (entry["smtp_code"] or 0) < 300):
            yield told.difference("stage", f"{entry['stage']} {entry['smtp_code']}", "body 2xx")
        if entry["outcome"] == "sent" and entry["in_data_at"] is None:
            yield told.difference("in_data_at", None, "trước khi gửi / before it was sent")
