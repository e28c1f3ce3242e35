"""Compares what webhooks are to hear, by the events and registrations published, with notifier's ledger of messages.

A message is derived from its event by notifier's own rules. It must be there if the event was published well after the
registration that asks for it and before the next one; both come by topics of their own, so within some seconds of each
other either may have been applied first. What is older than the ledger keeps is not missed.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from deploy.reconcile.differences import Difference, Teller
from deploy.reconcile.dossiers import Dossier
from deploy.reconcile.receipts import envelope, is_step
from deploy.reconcile.reference import Reference, made_at
from services.intake.audit.domain import fingerprint
from services.notifier.channels.webhook.messages import (
    TEST,
    Message,
    of_escalation,
    of_not_judged,
    of_submission,
    of_test,
    of_verdict,
)
from services.notifier.channels.webhook.states import DELAYS
from services.notifier.channels.webhook.store import KEPT, TEST_AGE, delivery_id_of
from shared.contract.events import (
    EventModel,
    NotJudged,
    SubmissionReceived,
    VerdictReached,
    WebhookHealth,
    WebhookRegistered,
    WebhookStopped,
)
from shared.contract.events.registry import EVENTS_BELOW
from shared.contract.reporting_window import local_day

#: an event and a registration published so near to each other may have been applied in either order
EITHER = timedelta(seconds=2)
#: what is about to be forgotten is not missed
MISSED = KEPT - timedelta(days=1)
#: between notifier's note that it told something, and the event of that transaction
TOLD_WITHIN = timedelta(minutes=1)
_DERIVED = ("lập lại từ sự kiện đã phát", "derived from the events published")
_PUBLISHED = ("theo sự kiện đã phát", "by the event published")
_ATTEMPTS = ("theo notifier.webhook_attempts", "by notifier.webhook_attempts")
_FAILED = ("away", "refused")
_FARES = ("version", "attempted_at", "status", "delivered_at", "failing_since")
_Event = TypeVar("_Event", WebhookStopped, WebhookHealth)


@dataclass(slots=True)
class Wanted:
    """A webhook as its registrations were published: (moment, record), the oldest first, each version once."""

    versions: list[tuple[datetime, WebhookRegistered]] = field(default_factory=list)

    @property
    def newest(self) -> WebhookRegistered:
        return self.versions[-1][1]

    @property
    def young(self) -> bool:
        """Whether none of its messages is forgotten yet."""
        return datetime.now(UTC) - self.versions[0][0] < MISSED

    def hears(self, message: Message, published: datetime, above: Collection[str]) -> bool:
        """Whether the message must be in the ledger: every registration that may have been in force asks for it."""
        begins = [since for since, _ in self.versions]
        at_first = bisect_right(begins, published - EITHER)
        at_last = bisect_right(begins, published + EITHER)
        if not at_first:  # perhaps before the webhook was there
            return False
        return all(
            record.state != "deleted" and message.event in record.events and _covers(record, message, above)
            for _, record in self.versions[at_first - 1 : at_last]
        )


def _covers(record: WebhookRegistered, message: Message, above: Collection[str]) -> bool:
    """above: the agencies above the message's."""
    if record.covers == "own":
        return record.agency == message.agency
    return record.agency in above and message.event in EVENTS_BELOW


def registrations(reference: Reference) -> Mapping[UUID, Wanted]:
    """Every webhook that intake has published; what cannot be read is left to `records`."""
    if reference.webhooks is None:
        reference.webhooks = _registrations(reference)
        for webhook_id, wanted in reference.webhooks.items():
            reference.webhooks_of.setdefault(wanted.newest.agency, []).append(webhook_id)
    return reference.webhooks


def _registrations(reference: Reference) -> dict[UUID, Wanted]:
    found: dict[UUID, Wanted] = {}
    for event in reference.webhook_events:
        try:
            record = WebhookRegistered.model_validate_json(event["body"] or b"")
        except ValueError:
            continue
        wanted = found.setdefault(record.webhook_id, Wanted())
        if not wanted.versions or wanted.newest.version < record.version:
            wanted.versions.append((made_at(event["event_id"]), record))
    return found


def records(reference: Reference) -> Iterator[Difference]:
    """Compare registrations in intake and notifier with what was published of them, stops and orders with theirs."""
    wanted = registrations(reference)
    stops = _newest(reference, WebhookStopped, lambda stop: stop.version)
    healths = _newest(reference, WebhookHealth, lambda health: (health.version, health.attempted_at))
    told_at = {
        health.webhook_id: made_at(event["event_id"])
        for event in reference.notifier_events
        if event["type"] == WebhookHealth.TYPE and (health := _readable(WebhookHealth, event)) is not None
    }
    yield from _events(reference, wanted, stops, healths)
    yield from _endpoints(reference, wanted)
    kept = {row["webhook_id"]: row for row in reference.tables["notifier", "webhooks"]}
    for webhook_id in sorted({*kept, *wanted}):
        told = Teller("registry", "notifier.webhooks", f"webhook/{webhook_id}", *_PUBLISHED, "reference")
        row = kept.get(webhook_id)
        if row is None:
            yield told.missing()
        elif webhook_id not in wanted:
            yield told.surplus()
        else:
            record = wanted[webhook_id].newest
            expected = _record(record, ("agency", "covers", "url", "events", "state", "version"))
            stop = stops.get(webhook_id)
            yield from told.values(row, {**expected, "stopped_version": None if stop is None else stop.version})
            yield from told.document(json.loads(row["secrets"]), _secrets(record), "secrets")
            yield from _health(row, wanted[webhook_id], reference)
            yield from _told(row, healths.get(webhook_id), told_at.get(webhook_id))
    yield from _copies(reference, "webhook_stops", stops, ("version", "at", "reason"))
    yield from _copies(reference, "webhook_health", healths, _FARES)
    yield from _orders(reference, wanted)


def _copies(
    reference: Reference, table: str, published: Mapping[UUID, _Event], names: Sequence[str]
) -> Iterator[Difference]:
    """Compare intake's copy of what notifier tells of webhooks with the newest that was published."""
    copies: dict[UUID, asyncpg.Record] = {row["webhook_id"]: row for row in reference.tables["intake", table]}
    for webhook_id in sorted({*copies, *published}):
        told = Teller("copy", f"intake.{table}", f"webhook/{webhook_id}", *_PUBLISHED, "reference")
        if webhook_id not in copies:
            yield told.missing()
        elif webhook_id not in published:
            yield told.surplus()
        else:
            yield from told.values(copies[webhook_id], {name: getattr(published[webhook_id], name) for name in names})


def _told(row: asyncpg.Record, health: WebhookHealth | None, told_at: datetime | None) -> Iterator[Difference]:
    """Compare what notifier remembers to have told of a webhook, and when, with what it published."""
    told = Teller("notice", "notifier.webhooks", f"webhook/{row['webhook_id']}", *_PUBLISHED, "reference")
    if health is None or health.version != row["version"]:  # nothing yet of this registration
        yield from told.values(row, {"told_at": None, "told_attempted_at": None, "told_failing": False})
        return
    failing = health.failing_since is not None
    yield from told.values(row, {"told_attempted_at": health.attempted_at, "told_failing": failing})
    if told_at is not None and (row["told_at"] is None or abs(row["told_at"] - told_at) > TOLD_WITHIN):
        yield told.difference("told_at", row["told_at"], told_at)
    if row["attempted_at"] is None or row["attempted_at"] < health.attempted_at:
        yield told.difference("attempted_at", row["attempted_at"], health.attempted_at)
    elif row["attempted_at"] == health.attempted_at:  # nothing was sent since
        yield from told.values(row, {name: getattr(health, name) for name in ("status", "failing_since")})


def _events(
    reference: Reference,
    wanted: Mapping[UUID, Wanted],
    stops: Mapping[UUID, WebhookStopped],
    healths: Mapping[UUID, WebhookHealth],
) -> Iterator[Difference]:
    """Check the envelopes of what was published of webhooks, and that it is of the webhook's own agency."""
    of: tuple[tuple[Sequence[asyncpg.Record], str, tuple[type[EventModel], ...]], ...] = (
        (reference.webhook_events, "intake", (WebhookRegistered,)),
        (reference.notifier_events, "notifier", (WebhookStopped, WebhookHealth)),
    )
    for events, service, models in of:
        for event in events:
            model = next((one for one in models if event["type"] == one.TYPE), models[0])
            told = Teller("event", f"{service}.outbox_archive", f"{event['key']} {event['event_id']}", "theo nội dung",
                          "by its body", "reference")  # fmt: skip
            yield from envelope(event, model.TYPE, told)
            try:
                body = model.model_validate_json(event["body"] or b"")
            except ValueError as error:
                yield told.difference("body", str(error), "đọc được / readable")
                continue
            yield from told.values(event, {"key": body.key})
    bodies: list[WebhookStopped | WebhookHealth] = [*stops.values(), *healths.values()]
    for said in bodies:
        if said.webhook_id in wanted and said.agency != wanted[said.webhook_id].newest.agency:
            told = Teller("event", "notifier.outbox_archive", said.key, "theo intake", "by intake", "reference")
            yield told.difference("agency", said.agency, wanted[said.webhook_id].newest.agency)


def _newest(reference: Reference, model: type[_Event], order: Callable[[_Event], Any]) -> dict[UUID, _Event]:
    """Of each webhook, the newest of these events that notifier has published."""
    found: dict[UUID, _Event] = {}
    for event in reference.notifier_events:
        if event["type"] != model.TYPE:
            continue
        body = _readable(model, event)
        if body is not None and (body.webhook_id not in found or order(found[body.webhook_id]) <= order(body)):
            found[body.webhook_id] = body
    return found


def _readable(model: type[_Event], event: asyncpg.Record) -> _Event | None:
    try:
        return model.model_validate_json(event["body"] or b"")
    except ValueError:
        return None


def _endpoints(reference: Reference, wanted: Mapping[UUID, Wanted]) -> Iterator[Difference]:
    """Compare intake's webhooks with what it published; moments and the contact with the audit trail."""
    trail: dict[str, list[asyncpg.Record]] = {}
    for entry in reference.webhook_trail:
        trail.setdefault(entry["key"], []).append(entry)
    stored = {row["webhook_id"]: row for row in reference.tables["intake", "webhook_endpoints"]}
    for webhook_id in sorted({*stored, *wanted}):
        told = Teller("registry", "intake.webhook_endpoints", f"webhook/{webhook_id}", *_PUBLISHED, "reference")
        row = stored.get(webhook_id)
        if row is None:
            yield told.missing()
            continue
        if webhook_id not in wanted:
            yield told.surplus()
            continue
        record = wanted[webhook_id].newest
        yield from told.values(
            row, _record(record, ("agency", "covers", "url", "events", "state", "version", "test_id", "test_at"))
        )
        yield from told.document(json.loads(row["secrets"]), _secrets(record), "secrets")
        entries = trail.get(str(webhook_id), [])
        noted = Teller(told.kind, told.where, told.key, "theo intake.audit_trail", "by intake.audit_trail", "reference")
        if not entries:
            yield noted.missing()
            continue
        contacts = [said["contact"] for entry in entries if "contact" in (said := json.loads(entry["after"]))]
        yield from noted.values(
            {**row, "contact": fingerprint(row["contact"])},
            {"created_at": entries[0]["at"], "changed_at": entries[-1]["at"], "contact": contacts[-1]},
        )


def _orders(reference: Reference, wanted: Mapping[UUID, Wanted]) -> Iterator[Difference]:
    """Compare what was done under idempotency keys: the webhooks, secrets and tests that they name are there."""
    told_of = {record.test_id for found in wanted.values() for _, record in found.versions}
    for row in reference.tables["intake", "webhook_orders"]:
        told = Teller("registry", "intake.webhook_orders", f"{row['made_by']} {row['idempotency_key']}",
                      "theo intake.webhook_endpoints", "by intake.webhook_endpoints", "reference")  # fmt: skip
        found = wanted.get(row["webhook_id"])
        if found is None:
            yield told.surplus()
        elif (row["test_id"] is None) == (row["generation"] is None):
            yield told.difference("generation", row["generation"], "test_id, generation: một / one of both")
        elif row["test_id"] is not None and row["test_id"] not in told_of:
            yield told.difference("test_id", row["test_id"], None)
        elif row["generation"] is not None:
            made = [secret.generation for secret in found.newest.secrets]
            if not 0 < row["generation"] <= max(made, default=0):
                yield told.difference("generation", row["generation"], max(made, default=0))
    replayed: Counter[UUID] = Counter()
    for row in reference.tables["notifier", "webhook_replays"]:
        told = Teller("notice", "notifier.webhook_replays", str(row["replay_id"]), "theo notifier.webhook_deliveries",
                      "by notifier.webhook_deliveries", "reference")  # fmt: skip
        if row["webhook_id"] not in wanted:
            yield told.surplus()
        replayed[row["webhook_id"]] += row["messages"]
    for row in reference.webhook_sums:
        ordered, webhook = replayed[row["webhook_id"]], wanted.get(row["webhook_id"])
        if row["replays"] > ordered or (webhook is not None and webhook.young and row["replays"] != ordered):
            told = Teller("notice", "notifier.webhook_deliveries", str(row["webhook_id"]),
                          "theo notifier.webhook_replays", "by notifier.webhook_replays", "reference")  # fmt: skip
            yield told.difference("replays", row["replays"], ordered)


def _health(row: asyncpg.Record, webhook: Wanted, reference: Reference) -> Iterator[Difference]:
    """Compare how the receiver fares with its attempts: those of older registrations count no more."""
    told = Teller("notice", "notifier.webhooks", f"webhook/{row['webhook_id']}", *_ATTEMPTS, "reference")
    sums = next((one for one in reference.webhook_sums if one["webhook_id"] == row["webhook_id"]), None)
    delivered = () if sums is None else tuple(sums["delivered"] or ())
    at = row["delivered_at"]
    if at is not None and at not in delivered and (webhook.young or datetime.now(UTC) - at < MISSED):
        yield told.difference("delivered_at", at, max(delivered, default=None))
    failures = 0 if sums is None else sums["failures"]
    if row["failures"] > failures:
        yield told.difference("failures", row["failures"], failures)
    at = row["attempted_at"]
    made = [] if sums is None or not sums["ended"] else list(zip(sums["ended"], sums["statuses"], strict=True))
    then = {status for ended, status in made if ended == at}
    if at is not None and not then and (webhook.young or datetime.now(UTC) - at < MISSED):
        yield told.difference("attempted_at", at, made[-1][0] if made else None)
    elif then and row["status"] not in then:
        yield told.difference("status", row["status"], min(then, key=str))
    if row["rest_until"] is not None and row["failures"] == 0:
        yield told.difference("rest_until", row["rest_until"], None)
    if row["failing_since"] is not None and row["failures"] == 0:
        yield told.difference("failing_since", row["failing_since"], None)


def compare(dossier: Dossier, reference: Reference) -> Iterator[Difference]:
    """Compare the messages about one obligation, or about none (tests), and the attempts for each."""
    wanted = registrations(reference)
    derived = dict(_tests(wanted)) if not dossier.key else _derived(dossier)
    registered = {*wanted, *(row["webhook_id"] for row in reference.tables["intake", "webhook_endpoints"])}
    found: dict[tuple[UUID, str], asyncpg.Record] = {
        (row["webhook_id"], row["cause"]): row for row in dossier.webhook_deliveries
    }
    for (webhook_id, cause), row in found.items():
        key = f"{dossier.key} {row['delivery_id']}".strip()
        told = Teller("notice", "notifier.webhook_deliveries", key, *_DERIVED)
        if webhook_id not in wanted or cause not in derived:
            # archives forget; a webhook that intake does not know was never there
            if row["event"] == TEST or webhook_id not in registered or _must_be_derived(row, reference):
                yield told.surplus()
        else:
            yield from _message(row, derived[cause], told)
        yield from _attempts(row, dossier, key, wanted.get(webhook_id))
    if dossier.key:
        yield from _missing(dossier, reference, wanted, derived, found)
    else:
        yield from _untested(wanted, found)
    known = {row["delivery_id"] for row in dossier.webhook_deliveries}
    for row in dossier.webhook_attempts:
        if row["delivery_id"] not in known:
            yield Teller("notice", "notifier.webhook_attempts", f"{dossier.key} {row['token']}".strip(),
                         "theo notifier.webhook_deliveries", "by notifier.webhook_deliveries").surplus()  # fmt: skip


#: messages of one cause by the events that call for it: one that was published again may say another hour
_Derived = dict[str, list[tuple[datetime, Message]]]


def _tests(wanted: Mapping[UUID, Wanted]) -> Iterator[tuple[str, list[tuple[datetime, Message]]]]:
    for webhook_id, found in wanted.items():
        for published, record in found.versions:
            if record.test_id is not None and record.test_at is not None:
                test = of_test(webhook_id, record.agency, record.test_id, record.test_at)
                yield test.cause, [(published, test)]


def _derived(dossier: Dossier) -> _Derived:
    found: _Derived = {}
    for event in dossier.received:
        if not is_step(event):
            try:
                message = of_submission(SubmissionReceived.model_validate_json(event["body"] or b""))
            except ValueError:
                continue
            found.setdefault(message.cause, []).append((made_at(event["event_id"]), message))
    for event in dossier.reached:
        try:
            if event["type"] == NotJudged.TYPE:
                message = of_not_judged(NotJudged.model_validate_json(event["body"] or b""))
            else:
                message = of_verdict(VerdictReached.model_validate_json(event["body"] or b""))
        except ValueError:
            continue
        found.setdefault(message.cause, []).append((made_at(event["event_id"]), message))
    for event_id, message in dossier.news:
        if message.event != "obligation.escalated":
            found.setdefault(message.cause, []).append((made_at(event_id), message))
    for row in dossier.notifications:  # a rung is not climbed by an event: the ledger says which was
        if row["kind"] == "escalation" and row["officer_id"]:
            message = of_escalation(row["obligation"], row["step"], row["created_at"])
            found.setdefault(message.cause, []).append((made_at(row["id"]), message))
    return found


def _missing(
    dossier: Dossier,
    reference: Reference,
    wanted: Mapping[UUID, Wanted],
    derived: _Derived,
    found: Mapping[tuple[UUID, str], asyncpg.Record],
) -> Iterator[Difference]:
    oldest = datetime.now(UTC) - MISSED
    tree = reference.tree
    for webhook_id in (one for code in (dossier.agency, *tree.ever_above(dossier.agency)) for one in
                       reference.webhooks_of.get(code, ())):  # fmt: skip
        webhook = wanted[webhook_id]
        for cause, messages in derived.items():
            if (webhook_id, cause) in found:
                continue
            if any(
                published > oldest
                and webhook.hears(message, published, tree.above(message.agency, local_day(message.at)))
                and not (reference.business_is_system_time and published - message.at > MISSED)
                for published, message in messages
            ):
                key = f"{dossier.key} {delivery_id_of(webhook_id, cause)}"
                yield Teller("notice", "notifier.webhook_deliveries", key, *_DERIVED).missing()


def _untested(wanted: Mapping[UUID, Wanted], found: Mapping[tuple[UUID, str], asyncpg.Record]) -> Iterator[Difference]:
    """A test that was asked for within the time in which it is still sent."""
    for webhook_id, webhook in wanted.items():
        published, record = webhook.versions[-1]
        lately = datetime.now(UTC) - published < TEST_AGE
        if record.test_id is None or record.state == "deleted" or not lately:
            continue
        if (webhook_id, f"test/{record.test_id}") not in found:
            yield Teller("notice", "notifier.webhook_deliveries", str(record.test_id), *_DERIVED).missing()


def _must_be_derived(row: asyncpg.Record, reference: Reference) -> bool:
    """Whether the archives still hold the event that the message must come from."""
    owners = {"submission.received": "intake", "verdict.reached": "validator", "verdict.not_judged": "validator"}
    owner = owners.get(row["event"], "scoring")
    return reference.archived_at(owner, row["created_at"] - timedelta(days=1))


def _message(row: asyncpg.Record, messages: Sequence[tuple[datetime, Message]], told: Teller) -> Iterator[Difference]:
    """Compare with the message that comes nearest."""
    choices = []
    for _, message in messages:
        test = message.event == TEST
        delivery_id = (
            UUID(message.cause.removeprefix("test/")) if test else delivery_id_of(row["webhook_id"], row["cause"])
        )
        expected = {
            "delivery_id": delivery_id, "event": message.event, "occurred_at": message.at, "agency": message.agency,
            "obligation": message.obligation, "body": message.body,
        }  # fmt: skip
        choices.append(list(told.values(row, expected)))
    yield from min(choices, key=len)


def _attempts(row: asyncpg.Record, dossier: Dossier, key: str, webhook: Wanted | None) -> Iterator[Difference]:
    """Compare the message's state with its attempts; a lease that ran out counts for none."""
    made = sorted(
        (one for one in dossier.webhook_attempts if one["delivery_id"] == row["delivery_id"]),
        key=lambda one: (one["number"], str(one["token"])),
    )
    told = Teller("notice", "notifier.webhook_deliveries", key, *_ATTEMPTS)
    yield from told.values(row, {"attempts": len(made)})
    numbers = [one["number"] for one in made]
    by = Teller("notice", "notifier.webhook_attempts", key, "theo notifier.webhook_deliveries",
                "by notifier.webhook_deliveries")  # fmt: skip
    if numbers != list(range(1, len(made) + 1)):
        yield by.difference("number", numbers, list(range(1, len(made) + 1)))
    for one in made:
        yield from _answer(one, by)
    if row["attempts_before"] > row["attempts"] or (row["attempts_before"] and not row["replays"]):
        yield told.difference("attempts_before", row["attempts_before"], 0)
    yield from _state(row, made, told, webhook)


def _answer(one: asyncpg.Record, by: Teller) -> Iterator[Difference]:
    """Check that the outcome is what the status says."""
    status = one["status"]
    if status is None:
        right = {"away"}
    elif 200 <= status < 300:
        right = {"delivered"}
    elif status == 410:
        right = {"gone"}
    else:
        right = {"away"} if status in (408, 425, 429) or status >= 500 else {"refused"}
    if one["outcome"] not in right:
        yield by.difference("outcome", one["outcome"], ", ".join(right))
    if one["ended_at"] < one["started_at"]:
        yield by.difference("ended_at", one["ended_at"], one["started_at"])


def _state(
    row: asyncpg.Record, made: Sequence[asyncpg.Record], told: Teller, webhook: Wanted | None
) -> Iterator[Difference]:
    last = made[-1] if made else None
    outcome = None if last is None else last["outcome"]
    settled = row["state"] in ("delivered", "failed")
    reason: object = None
    match row["state"]:
        case "delivered":
            if outcome != "delivered":
                yield told.difference("state", row["state"], outcome)
        case "failed":
            tried = row["attempts"] - row["attempts_before"] > len(DELAYS)
            if outcome != "gone" and not (tried and outcome in _FAILED):
                yield told.difference("state", row["state"], outcome)
            if last is not None:
                reason = "gone" if outcome == "gone" else f"{last['status'] or 'no answer'}: {last['answer']}"[:500]
        case "cancelled":
            settled, reason = True, "deleted"
            if webhook is not None and webhook.newest.covers == "below" and webhook.newest.state != "deleted":
                reason = "beyond_reach"
            elif webhook is not None and webhook.newest.state != "deleted":
                yield told.difference("state", row["state"], "–")
        case _:
            if outcome in ("delivered", "gone") and not row["replays"]:
                yield told.difference("state", row["state"], outcome)
    yield from told.values(row, {"reason": reason})
    if (row["settled_at"] is not None) != settled:
        yield told.difference("settled_at", row["settled_at"], "–" if not settled else "giờ xong / when it ended")
    elif settled and last is not None and row["state"] != "cancelled" and row["settled_at"] < last["ended_at"]:
        yield told.difference("settled_at", row["settled_at"], last["ended_at"])
    if (row["due_at"] is not None) != (row["state"] in ("pending", "retry")):
        yield told.difference("due_at", row["due_at"], "–")
    if (row["token"] is not None) != (row["state"] == "claimed") or (row["token"] is None) != (
        row["lease_until"] is None
    ):
        yield told.difference("lease_until", row["lease_until"], row["token"])


def _record(record: WebhookRegistered, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(record, name) for name in names}


def _secrets(record: WebhookRegistered) -> Any:
    return record.model_dump(mode="json")["secrets"]
