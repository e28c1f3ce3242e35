"""Invariants I1 to I9 as functions of the clients' answers and the stores' contents; each returns its violations.

Source: docs/reliability.md. This module imports no service code.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

from tests.programs.faults.load import Ledger
from tests.programs.faults.people import REQUIRED_ITEMS, Deserved, deserved
from tests.programs.faults.stores import (
    CHANGED,
    FOLLOWS,
    NOT_JUDGED,
    REACHED,
    RECEIVED,
    Applied,
    Hooked,
    Owed,
    Stores,
    Submission,
)

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
SHOWN = 5
#: states of a mail that is still on its way
OPEN_STATES = ("pending", "claimed", "in_data", "retry")
Finder = Callable[[Ledger, Stores], list[str]]


def i1(ledger: Ledger, stores: Stores) -> list[str]:
    """Each 2xx is stored exactly once, byte for byte, under the version of its receipt; no key is stored twice."""
    found = []
    by_id = {row.submission_id: row for row in stores.submissions}
    for receipt in ledger.receipts:
        row = by_id.get(receipt.submission_id)
        if row is None:
            found.append(f"receipt {receipt.submission_id} ({receipt.obligation}) is not stored")
        elif (row.obligation, row.version, row.sha256) != (receipt.obligation, receipt.version, receipt.sha256):
            found.append(f"receipt {receipt.submission_id} says otherwise than its row")
        elif row.sha256 != receipt.post.sha256 or row.body != receipt.post.body:
            found.append(f"{receipt.submission_id}: the stored body is not the posted one")
    keys = Counter((row.agency, row.idempotency_key) for row in stores.submissions)
    found += [f"{key} is stored {times} times" for key, times in keys.items() if times > 1]
    told = defaultdict(set)
    for receipt in ledger.receipts:
        told[(receipt.post.agency, receipt.post.key)].add(receipt.submission_id)
    found += [f"{key} was answered with {len(ids)} submissions" for key, ids in told.items() if len(ids) > 1]
    found += [
        f"{row.submission_id} is stored under a key nobody posted"
        for row in stores.submissions
        if (row.agency, row.idempotency_key) not in ledger.posted
    ]
    versions = defaultdict(list)
    for row in stores.submissions:
        versions[row.obligation].append(row.version)
    found += [
        f"{obligation}: versions {sorted(numbers)} have a gap or a double"
        for obligation, numbers in versions.items()
        if sorted(numbers) != list(range(1, len(numbers) + 1))
    ]
    return found


def i2(ledger: Ledger, stores: Stores) -> list[str]:
    """Each stored submission has exactly one event, which is in its topic, and each event one application."""
    found = []
    events = Counter(told.submission_id for told in stores.told if told.type == RECEIVED)
    for row in stores.submissions:
        if events[row.submission_id] != 1:
            found.append(f"submission {row.submission_id} has {events[row.submission_id]} events")
    judged = Counter(verdict.submission_id for verdict in stores.verdicts)
    for row in stores.submissions:
        if judged[row.submission_id] != 1:
            found.append(f"submission {row.submission_id} has {judged[row.submission_id]} verdicts")
    reached = Counter(told.submission_id for told in stores.told if told.type in (REACHED, NOT_JUDGED))
    for verdict in stores.verdicts:
        if reached[verdict.submission_id] != verdict.revision:
            told_of = f"{reached[verdict.submission_id]} events of {verdict.revision}"
            found.append(f"verdict on {verdict.submission_id} has {told_of}")
    lying = {message.event_id for message in stores.messages}
    found += [
        f"{told.type} {told.event_id} is archived as sent but not in {told.topic}"
        for told in stores.told
        if told.sent and told.event_id not in lying and told.topic not in ("registry",) and "dlq" not in told.topic
    ]
    applied = Counter((line.consumer, line.event_id) for line in stores.witnessed)
    found += [f"{consumer} applied {event} {n} times" for (consumer, event), n in applied.items() if n > 1]
    aside = set(stores.deferred) | set(stores.dead)
    for told in stores.told:
        for consumer in _consumers(told.type):
            place = (consumer, told.event_id)
            if told.type in (RECEIVED, REACHED) and told.sent and not applied[place] and place not in aside:
                found.append(f"{consumer} did not apply {told.type} {told.event_id} of {told.key}")
    return found


def i3(ledger: Ledger, stores: Stores) -> list[str]:
    """Per key, versions never went back: not in a topic, not as applied, and the newest is what stands."""
    found = []
    latest: dict[tuple[str, str, int], int] = {}
    seen: set[tuple[str, str]] = set()
    for message in sorted(stores.messages, key=lambda m: (m.topic, m.partition, m.offset)):
        if (message.topic, message.event_id) in seen or message.version is None:
            continue  # a repeated event: inboxes drop it
        seen.add((message.topic, message.event_id))
        place = (message.topic, message.key, message.climb)
        if message.version < latest.get(place, 0):
            found.append(f"{message.topic}: {message.key} went from {latest[place]} back to {message.version}")
        latest[place] = max(latest.get(place, 0), message.version)
    return found + _applied_in_order(stores.witnessed) + newest_stands(stores)


def _applied_in_order(lines: Iterable[Applied]) -> list[str]:
    found = []
    latest: dict[tuple[str, str, str, int], int] = {}
    for line in sorted(lines, key=lambda record: (record.consumer, record.place)):
        place = (line.consumer, line.topic, line.key, line.climb)
        if line.version < latest.get(place, 0):
            found.append(f"{line.consumer} applied {line.key} version {line.version} after {latest[place]}")
        latest[place] = max(latest.get(place, 0), line.version)
    return found


def newest_stands(stores: Stores) -> list[str]:
    """Each store holds the newest published state of a key; for faults that shuffle on purpose."""
    found = []
    received = _versions((told.key, told.version) for told in stores.told if told.type == RECEIVED and told.sent)
    decided = _versions((verdict.obligation, verdict.version) for verdict in stores.verdicts)
    for row in stores.obligations:
        if row.received != received.get(row.obligation, ()):
            found.append(f"scoring knows versions {row.received} of {row.obligation}")
        if row.decided != decided.get(row.obligation, ()):
            found.append(f"scoring knows verdicts of {row.obligation} on versions {row.decided}")
    compliance = _newest((told.key, told.version) for told in stores.told if told.type == CHANGED and told.sent)
    for key, version in compliance.items():
        if stores.standings.get(key, (0, ""))[0] != version:
            found.append(f"intake stands at {stores.standings.get(key)} of {key}, told up to {version}")
    for key, version in compliance.items():
        if stores.notified.get(key, 0) != version:
            found.append(f"notifier stands at {stores.notified.get(key)} of {key}, told up to {version}")
    return found


def i4(ledger: Ledger, stores: Stores) -> list[str]:
    """Every event is still in its outbox, or with each consumer applied, deferred or dead: in exactly one of them."""
    found = []
    inbox, deferred, dead = Counter(stores.inbox), Counter(stores.deferred), Counter(stores.dead)
    newest: dict[tuple[str, str], str] = {}
    for told in stores.told:
        if told.topic == "registry":
            newest[(told.topic, told.key)] = told.event_id  # compacted: only the newest event must arrive
    for told in stores.told:
        if not told.sent or newest.get((told.topic, told.key), told.event_id) != told.event_id:
            continue
        for consumer in _consumers(told.type):
            place = (consumer, told.event_id)
            # a deferred event is claimed too; a dead letter is not
            places = bool(inbox[place]) + bool(dead[place])
            if places == 0 and not deferred[place]:
                found.append(f"{told.type} {told.event_id} of {told.key} is nowhere at {consumer}")
            elif places > 1:
                found.append(f"{consumer} holds {told.event_id} as applied and as dead")
    applied = {(line.consumer, line.event_id) for line in stores.witnessed}
    found += [
        f"{consumer} claims {event} but never applied it"
        for consumer, event in inbox
        if (consumer, event) not in applied and not deferred[(consumer, event)]
    ]
    return found


def i5(ledger: Ledger, stores: Stores) -> list[str]:
    """Per notification the mail server took at least one message where it is sent, at most 1 + those left unknown."""
    found = []
    taken = Counter(stores.mails)
    known = {notice.message_id for notice in stores.notices}
    for notice in stores.notices:
        count = taken[notice.message_id]
        match notice.state:
            case "sent":
                least, most = 1, 1 + notice.unknowns
            case "unknown":
                least, most = 0, notice.unknowns
            case "in_data":
                least, most = 0, 1 + notice.unknowns
            case _:
                least, most = 0, notice.unknowns
        if not least <= count <= most:
            found.append(
                f"notification {notice.id} ({notice.kind}, {notice.state}, unknown {notice.unknowns}) reached the mail "
                f"server {count} times, not {least} to {most}"
            )
    found += [f"mail {message_id} belongs to no notification" for message_id in taken if message_id not in known]
    return found


def undrained(ledger: Ledger, stores: Stores) -> list[str]:
    """Name what is still on its way: the condition of I6, polled."""
    found = [f"{told.type} {told.event_id} is still in {told.owner}'s outbox" for told in stores.told if not told.sent]
    found += [f"{consumer} still waits with {event}" for consumer, event in stores.deferred]
    there = {*stores.inbox, *stores.dead}
    for told in stores.told:
        for consumer in _consumers(told.type):
            if told.sent and told.topic != "registry" and (consumer, told.event_id) not in there:
                found.append(f"{told.type} {told.event_id} has not reached {consumer}")
    found += [f"mail {n.id} is {n.state}" for n in stores.notices if n.state in OPEN_STATES or n.due]
    found += [f"webhook message {d.message_id} is {d.state}" for d in stores.deliveries if d.state in OPEN_STATES]
    return found


def i7(ledger: Ledger, stores: Stores) -> list[str]:
    """Standings, scores and totals are those that intake's bodies and receipts alone give, recomputed here."""
    found = []
    by_obligation: dict[str, list[Submission]] = defaultdict(list)
    for row in stores.submissions:
        by_obligation[row.obligation].append(row)
    outcomes = {verdict.submission_id: verdict.outcome for verdict in stores.verdicts}
    for row in stores.submissions:
        wanted = "accepted" if deserved(row.body).accepted else "returned"
        if outcomes.get(row.submission_id) != wanted:
            found.append(f"{row.submission_id} deserves {wanted}, its verdict is {outcomes.get(row.submission_id)}")
        if stores.statuses.get(row.submission_id) != wanted:
            found.append(
                f"{row.submission_id} deserves {wanted}, intake shows {stores.statuses.get(row.submission_id)}"
            )
    known = {row.obligation for row in stores.obligations}
    found += [f"scoring does not know {obligation}" for obligation in by_obligation if obligation not in known]
    totals: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    lines: dict[str, Decimal] = defaultdict(Decimal)
    for obligation, points in stores.score_lines:
        lines[obligation] += points
    for owed in stores.obligations:
        sent = sorted(by_obligation.get(owed.obligation, ()), key=lambda row: (row.received_at, row.version))
        wanted_now = expected(owed, sent, stores.special_days)
        have = Expected(owed.standing, owed.on_time, owed.score)
        if have != wanted_now:
            found.append(f"{owed.obligation} is {have}, recomputed {wanted_now}")
        if lines[owed.obligation] != (owed.score or 0):
            found.append(f"{owed.obligation}: the lines sum to {lines[owed.obligation]}, the score is {owed.score}")
        agency = owed.obligation.partition("/")[0]
        totals[agency][0] += owed.score or 0
        totals[agency][1] += wanted_now.score or 0
    found += [f"{agency}: total {have}, recomputed {want}" for agency, (have, want) in totals.items() if have != want]
    return found


@dataclass(frozen=True, slots=True)
class Expected:
    """What an obligation should be."""

    standing: str
    on_time: bool | None
    score: Decimal | None


def expected(owed: Owed, sent: list[Submission], special_days: dict[date, bool]) -> Expected:
    """60 points in time, 10 fewer for each working day late; 40 × present / required of the accepted version that
    stood at the deadline, or was the first after it. `sent` is in the order of receipt.

    Nothing accepted: 0 once overdue, no score before.
    """
    judged: list[tuple[Submission, Deserved]] = [(row, deserved(row.body)) for row in sent]
    accepted = [(row, what) for row, what in judged if what.accepted]
    if not accepted:
        return Expected("returned" if sent else "nothing_sent", None, Decimal(0) if owed.overdue else None)
    in_time = [(row, what) for row, what in accepted if row.received_at <= owed.deadline]
    present = (in_time[-1] if in_time else accepted[0])[1].present_items
    completeness = (Decimal(40) * present / REQUIRED_ITEMS).quantize(Decimal("0.01"), ROUND_HALF_UP)
    received = accepted[0][0].received_at
    if received <= owed.deadline:
        return Expected("fulfilled", True, Decimal(60) + completeness)
    days = max(1, working_days(owed.deadline, received, special_days))
    return Expected("fulfilled", False, Decimal(60) - min(Decimal(10) * days, Decimal(60)) + completeness)


def working_days(after: datetime, until: datetime, special_days: dict[date, bool]) -> int:
    """Working days after the one day, up to and with the other, in Vietnam's zone."""
    day, last = after.astimezone(ZONE).date(), until.astimezone(ZONE).date()
    count = 0
    while day < last:
        day += timedelta(days=1)
        count += special_days.get(day, day.weekday() < 5)
    return count


def _consumers(kind: str) -> list[str]:
    return [consumer for consumer, kinds in FOLLOWS.items() if kind in kinds]


def _versions(pairs: Iterable[tuple[str, int | None]]) -> dict[str, tuple[int, ...]]:
    versions: dict[str, set[int]] = defaultdict(set)
    for key, version in pairs:
        versions[key].add(version or 0)
    return {key: tuple(sorted(found)) for key, found in versions.items()}


def _newest(pairs: Iterable[tuple[str, int | None]]) -> dict[str, int]:
    newest: dict[str, int] = {}
    for key, version in pairs:
        newest[key] = max(newest.get(key, 0), version or 0)
    return newest


#: I8: from a neighbour's receipt until its report is judged, shown to it and scored, on two busy cores
NEIGHBOUR_SECONDS = 5.0


def i8(ledger: Ledger, stores: Stores) -> list[str]:
    """Each report of a neighbour was judged, shown and scored in time, whatever others did meanwhile."""
    if not ledger.judged_seconds:
        return ["no neighbour's report was watched"]
    return [
        f"{report} was judged and scored after {seconds:.1f} s"
        for report, seconds in ledger.judged_seconds.items()
        if seconds > NEIGHBOUR_SECONDS
    ]


#: I9: from a message's row until its receiver has it, where no fault is the receiver's own
HOOK_SECONDS = 5.0
#: what a webhook hears of each submission of its agency
_TOLD_OF_EACH = ("submission.received", "verdict.reached")


def i9(ledger: Ledger, stores: Stores) -> list[str]:
    """A webhook's receiver hears of each matter at least once, under one id that a stock library verifies, in time
    whatever other receivers do; nothing is sent to an address that webhooks may not reach.
    """
    if not stores.hooks:
        return ["no webhook was watched"]
    found = [*unheard(stores), *told_under_two_ids(stores), *slow_messages(stores)]
    found += [f"a connection came to {address}" for address in stores.internal_hits]
    return found


def unheard(stores: Stores) -> list[str]:
    """Matters of which a receiver has taken no message. One answered with 410 excuses its own message."""
    found = []
    ended = defaultdict(list)  # webhook -> what was taken, or answered with 410
    for post in stores.posts:
        if post.status == 410 or (post.verified and post.status == 200):
            ended[post.webhook_id].append(post)
    for hook in stores.hooks:
        ids = {post.message_id for post in ended[hook.webhook_id]}
        heard = {(post.event, post.submission_id) for post in ended[hook.webhook_id]}
        found += [
            f"webhook of {hook.agency}: no {event} of {row.submission_id} was taken"
            for row in stores.submissions
            if row.agency == hook.agency
            for event in _TOLD_OF_EACH
            if (event, row.submission_id) not in heard
        ]
        found += [
            f"webhook of {hook.agency}: {message.event} {message.message_id} is {message.state}, and was not taken"
            for message in stores.deliveries
            if message.webhook_id == hook.webhook_id and message.message_id not in ids
        ]
    return found


def told_under_two_ids(stores: Stores) -> list[str]:
    """Matters told under several ids, and messages about another agency than the webhook's."""
    ids, agencies = defaultdict(set), {hook.webhook_id: hook.agency for hook in stores.hooks}
    found = []
    for post in stores.posts:
        if post.event in _TOLD_OF_EACH:
            ids[(post.webhook_id, post.event, post.submission_id)].add(post.message_id)
        if agencies.get(post.webhook_id) != post.agency:
            found.append(f"the webhook of {agencies.get(post.webhook_id)} was told of {post.agency}")
    return found + [f"{event} of {one} came under {len(of)} ids" for (_, event, one), of in ids.items() if len(of) > 1]


def slow_messages(stores: Stores) -> list[str]:
    """Messages that reached a receiver late that answers as it should."""
    first: dict[str, float] = {}
    for post in stores.posts:
        first[post.message_id] = min(post.at, first.get(post.message_id, post.at))
    hooks: dict[str, Hooked] = {hook.webhook_id: hook for hook in stores.hooks}
    found = []
    for message in stores.deliveries:
        hook = hooks.get(message.webhook_id)
        if hook is None or message.created_at > hook.timed_until:
            continue
        waited = first.get(message.message_id, message.created_at) - message.created_at
        if waited > HOOK_SECONDS:
            found.append(f"{message.event} {message.message_id} came to {hook.agency} after {waited:.1f} s")
    return found


#: what is checked once everything has drained; I6 is the draining itself
CHECKS: dict[str, Finder] = {
    "I1": i1, "I2": i2, "I3": i3, "I4": i4, "I5": i5, "I6": undrained, "I7": i7, "I8": i8, "I9": i9,
}  # fmt: skip
