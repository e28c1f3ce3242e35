"""Spoils stores on purpose: for each invariant, small errors that its check must find.

They start from the data that a row really read, so a check that reads nothing fails too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from tests.programs.faults.invariants import CHECKS
from tests.programs.faults.load import Ledger
from tests.programs.faults.stores import RECEIVED, Stores

Spoiler = Callable[[Ledger, Stores], None]


def lost_submission(ledger: Ledger, stores: Stores) -> None:
    lost = ledger.receipts[0].submission_id
    stores.submissions = [row for row in stores.submissions if row.submission_id != lost]


def doubled_submission(ledger: Ledger, stores: Stores) -> None:
    row = stores.submissions[0]
    stores.submissions.append(replace(row, submission_id="double", version=row.version + 1))


def altered_body(ledger: Ledger, stores: Stores) -> None:
    wanted = ledger.receipts[0].submission_id
    stores.submissions = [
        replace(row, body=row.body + b" ") if row.submission_id == wanted else row for row in stores.submissions
    ]


def submission_without_event(ledger: Ledger, stores: Stores) -> None:
    index = next(i for i, told in enumerate(stores.told) if told.type == RECEIVED)
    del stores.told[index]


def event_applied_twice(ledger: Ledger, stores: Stores) -> None:
    line = next(line for line in stores.witnessed if line.consumer == "scoring.follow")
    stores.witnessed.append(replace(line, place=10**9))


def event_never_applied(ledger: Ledger, stores: Stores) -> None:
    index = next(i for i, line in enumerate(stores.witnessed) if line.consumer == "scoring.follow")
    del stores.witnessed[index]


def topics_empty(ledger: Ledger, stores: Stores) -> None:
    stores.messages = []


def old_version_applied_last(ledger: Ledger, stores: Stores) -> None:
    line = max(
        (record for record in stores.witnessed if record.consumer == "scoring.follow"),
        key=lambda record: record.version,
    )
    stores.witnessed.append(replace(line, place=10**9, version=line.version - 1, event_id="old"))


def stale_standing(ledger: Ledger, stores: Stores) -> None:
    index = next(i for i, row in enumerate(stores.obligations) if row.received)
    row = stores.obligations[index]
    stores.obligations[index] = replace(row, received=row.received[:-1])


def topic_out_of_order(ledger: Ledger, stores: Stores) -> None:
    newest = max(stores.messages, key=lambda message: (message.topic == "submissions", message.version or 0))
    stores.messages.append(replace(newest, offset=10**9, event_id="late", version=(newest.version or 1) - 1))


def event_nowhere(ledger: Ledger, stores: Stores) -> None:
    told = next(told for told in stores.told if told.type == RECEIVED and told.sent)
    stores.inbox.remove(("scoring.follow", told.event_id))


def claimed_but_not_applied(ledger: Ledger, stores: Stores) -> None:
    stores.inbox.append(("scoring.follow", "claimed"))


def mail_lost(ledger: Ledger, stores: Stores) -> None:
    sent = next(notice for notice in stores.notices if notice.state == "sent")
    stores.mails = [message_id for message_id in stores.mails if message_id != sent.message_id]


def mail_repeated(ledger: Ledger, stores: Stores) -> None:
    sent = next(notice for notice in stores.notices if notice.state == "sent")
    stores.mails += [sent.message_id] * (1 + sent.unknowns)


def outbox_left(ledger: Ledger, stores: Stores) -> None:
    stores.told[0] = replace(stores.told[0], sent=False)


def wrong_score(ledger: Ledger, stores: Stores) -> None:
    stores.obligations[0] = replace(stores.obligations[0], score=(stores.obligations[0].score or Decimal(0)) + 1)


def wrong_verdict(ledger: Ledger, stores: Stores) -> None:
    verdict = stores.verdicts[0]
    other = "returned" if verdict.outcome == "accepted" else "accepted"
    stores.verdicts[0] = replace(verdict, outcome=other)


def neighbour_kept_waiting(ledger: Ledger, stores: Stores) -> None:
    ledger.judged_seconds["X99.24/TUAN/2026-W11 version 0"] = 60.0


def message_never_taken(ledger: Ledger, stores: Stores) -> None:
    lost = next(post for post in stores.posts if post.status == 200)
    stores.posts = [post for post in stores.posts if post.message_id != lost.message_id]


def signature_wrong(ledger: Ledger, stores: Stores) -> None:
    lost = next(post for post in stores.posts if post.status == 200)
    stores.posts = [
        replace(post, verified=False) if post.message_id == lost.message_id else post for post in stores.posts
    ]


def told_under_another_id(ledger: Ledger, stores: Stores) -> None:
    post = next(post for post in stores.posts if post.event == "submission.received")
    stores.posts.append(replace(post, message_id="msg_other"))


def told_of_another_agency(ledger: Ledger, stores: Stores) -> None:
    stores.posts.append(replace(stores.posts[0], agency="X99.99"))


def receiver_kept_waiting(ledger: Ledger, stores: Stores) -> None:
    hook, came = stores.hooks[0], {post.message_id for post in stores.posts}
    message = next(message for message in stores.deliveries if message.message_id in came)
    stores.hooks.append(replace(hook, webhook_id=message.webhook_id, timed_until=message.created_at))
    stores.posts = [
        replace(post, at=post.at + 60) if post.message_id == message.message_id else post for post in stores.posts
    ]


def inner_address_reached(ledger: Ledger, stores: Stores) -> None:
    stores.internal_hits.append("127.200.0.1:80")


SPOILERS: dict[str, tuple[Spoiler, ...]] = {
    "I1": (lost_submission, doubled_submission, altered_body),
    "I2": (submission_without_event, event_applied_twice, event_never_applied, topics_empty),
    "I3": (old_version_applied_last, stale_standing, topic_out_of_order),
    "I4": (event_nowhere, claimed_but_not_applied),
    "I5": (mail_lost, mail_repeated),
    "I6": (outbox_left,),
    "I7": (wrong_score, wrong_verdict),
    "I8": (neighbour_kept_waiting,),
    "I9": (
        message_never_taken,
        signature_wrong,
        told_under_another_id,
        told_of_another_agency,
        receiver_kept_waiting,
        inner_address_reached,
    ),
}


def not_noticed(invariant: str, ledger: Ledger, stores: Stores) -> list[str]:
    """Return the spoils that the invariant's check does not find in these stores; must be empty."""
    before = set(CHECKS[invariant](ledger, stores))
    missed = []
    for spoil in SPOILERS[invariant]:
        spoiled_ledger, spoiled = ledger.copy(), copy.copy(stores)
        for name in ("submissions", "told", "inbox", "witnessed", "verdicts", "obligations", "notices", "mails",
                     "messages", "deliveries", "hooks", "posts", "internal_hits"):  # fmt: skip
            setattr(spoiled, name, list(getattr(stores, name)))
        try:
            spoil(spoiled_ledger, spoiled)
        except (StopIteration, IndexError, ValueError):
            missed.append(f"{spoil.__name__}: nothing of the kind was read")
            continue
        if not set(CHECKS[invariant](spoiled_ledger, spoiled)) - before:
            missed.append(spoil.__name__)
    return missed
