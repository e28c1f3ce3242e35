"""The checker of the fault matrix finds each wrong in stores that are otherwise right, and nothing in right ones."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from tests.programs.faults.doctored import SPOILERS, Spoiler, not_noticed
from tests.programs.faults.invariants import CHECKS, ZONE, Expected, expected, working_days
from tests.programs.faults.load import Ledger, Post, Receipt, merged
from tests.programs.faults.people import officer
from tests.programs.faults.stores import (
    FOLLOWS,
    REACHED,
    RECEIVED,
    Applied,
    Delivery,
    Hooked,
    Message,
    Notice,
    Owed,
    Posted,
    Stores,
    Submission,
    Told,
    Verdict,
)

AGENCY, PERIOD = "X99.01", "2026-W10"
OBLIGATION = f"{AGENCY}/TUAN/{PERIOD}"
DEADLINE = datetime(2026, 3, 6, 16, 30, tzinfo=ZONE)
CHANGED = "vn.thongsuot.obligation.changed.v1"


def body(total: int) -> bytes:
    """T01 = `total`; 6 is the right sum."""
    figures = {"T01": total, "T02": 1, "T03": 2, "T04": 3}
    return json.dumps(
        {"regime": "TUAN", "period": PERIOD, "officer": officer(AGENCY), "figures": figures, "narratives": {"N01": "…"}}
    ).encode()


def world() -> tuple[Ledger, Stores]:
    """Two versions of one report: the first came back, the second was accepted in time; one mail went out."""
    ledger, stores = Ledger(), Stores()
    place = 0
    for version, total in ((1, 7), (2, 6)):
        sent = body(total)
        digest = hashlib.sha256(sent).hexdigest()
        name, event, verdict_event = f"s{version}", f"e{version}", f"v{version}"
        post = Post(AGENCY, PERIOD, f"key-{version}", sent)
        ledger.posted[(AGENCY, post.key)] = post
        at = DEADLINE - timedelta(hours=5 - version)
        ledger.receipts.append(Receipt(post, 201, name, OBLIGATION, version, digest, at.isoformat()))
        stores.submissions.append(Submission(name, OBLIGATION, AGENCY, version, post.key, digest, at, sent))
        outcome = "accepted" if total == 6 else "returned"
        stores.verdicts.append(Verdict(f"verdict-{version}", name, OBLIGATION, version, outcome))
        stores.statuses[name] = outcome
        for matter in ("submission.received", "verdict.reached"):
            message = f"msg_{matter}_{version}"
            stores.deliveries.append(Delivery(message, "w1", matter, "delivered", None, 1000.0))
            stores.posts.append(Posted("w1", message, matter, name, AGENCY, True, 200, 1001.0))
        for owner, event_id, topic, kind in (
            ("intake", event, "submissions", RECEIVED),
            ("validator", verdict_event, "verdicts", REACHED),
        ):
            stores.told.append(Told(owner, event_id, topic, OBLIGATION, kind, version, name, True))
            stores.messages.append(Message(topic, 0, version, OBLIGATION, event_id, version))
            for consumer in (consumer for consumer, kinds in FOLLOWS.items() if kind in kinds):
                place += 1
                stores.inbox.append((consumer, event_id))
                stores.witnessed.append(Applied(place, consumer, event_id, topic, OBLIGATION, version))
    stores.told.append(Told("scoring", "c1", "compliance", OBLIGATION, CHANGED, 3, "s2", True))
    stores.messages.append(Message("compliance", 0, 0, OBLIGATION, "c1", 3))
    for consumer in ("intake.follow", "notifier.compliance", "board.compliance"):
        place += 1
        stores.inbox.append((consumer, "c1"))
        stores.witnessed.append(Applied(place, consumer, "c1", "compliance", OBLIGATION, 3))
    stores.standings[OBLIGATION] = (3, "fulfilled")
    stores.notified[OBLIGATION] = 3
    stores.obligations.append(
        Owed(OBLIGATION, True, DEADLINE, (1, 2), (1, 2), "fulfilled", False, True, Decimal("100.00"))
    )
    stores.score_lines += [(OBLIGATION, Decimal(60)), (OBLIGATION, Decimal("40.00"))]
    stores.notices.append(Notice("n1", "<m1@x>", "dm@x99.01.example", "returned", "sent", 0, False))
    ledger.judged_seconds[f"{OBLIGATION} report 1"] = 0.8
    stores.mails.append("<m1@x>")
    stores.hooks.append(Hooked("w1", AGENCY, 2000.0))
    return ledger, stores


@pytest.mark.parametrize("invariant", sorted(CHECKS))
def test_right_stores_are_right(invariant: str) -> None:
    assert CHECKS[invariant](*world()) == []


@pytest.mark.parametrize("invariant", sorted(SPOILERS))
def test_every_wrong_is_noticed(invariant: str) -> None:
    assert not_noticed(invariant, *world()) == []


def test_a_wrong_that_is_not_noticed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def harmless(ledger: Ledger, stores: Stores) -> None:
        """Changes nothing."""

    wrongs: tuple[Spoiler, ...] = (harmless,)
    monkeypatch.setitem(SPOILERS, "I1", wrongs)
    assert not_noticed("I1", *world()) == ["harmless"]


def test_a_mail_left_unknown_may_come_twice_and_no_more() -> None:
    ledger, stores = world()
    stores.notices = [Notice("n1", "<m1@x>", "dm@x99.01.example", "returned", "sent", 1, False)]
    stores.mails = ["<m1@x>"] * 2
    assert CHECKS["I5"](ledger, stores) == []
    stores.mails = ["<m1@x>"] * 3
    assert len(CHECKS["I5"](ledger, stores)) == 1


def test_a_message_sent_again_is_no_step_back() -> None:
    ledger, stores = world()
    stores.messages.append(Message("submissions", 0, 9, OBLIGATION, "e1", 1))
    assert CHECKS["I3"](ledger, stores) == []


def test_versions_of_another_climb_are_no_step_back_and_those_of_one_are() -> None:
    ledger, stores = world()
    told = ((1, 1), (1, 2), (2, 1))
    stores.messages += [
        Message("notifications", 0, at, OBLIGATION, f"x{at}", version, climb)
        for at, (climb, version) in enumerate(told)
    ]
    follower = "board.notifications"
    stores.witnessed += [
        Applied(90 + place, follower, f"x{place}", "notifications", OBLIGATION, version, climb)
        for place, (climb, version) in enumerate(told)
    ]
    assert CHECKS["I3"](ledger, stores) == []
    stores.messages.append(Message("notifications", 0, 9, OBLIGATION, "x9", 1, 1))
    assert len(CHECKS["I3"](ledger, stores)) == 1
    stores.witnessed.append(Applied(99, follower, "x9", "notifications", OBLIGATION, 1, 1))
    assert len(CHECKS["I3"](ledger, stores)) == 2


def test_lateness_is_counted_in_working_days() -> None:
    owed = Owed(OBLIGATION, True, DEADLINE, (1,), (1,), "fulfilled", False, False, Decimal(0))
    monday = DEADLINE + timedelta(days=3)  # the deadline is a Friday
    late = Submission("s", OBLIGATION, AGENCY, 1, "k", "", monday, body(6))
    assert expected(owed, [late], {}) == Expected("fulfilled", False, Decimal("90.00"))
    assert working_days(DEADLINE, monday, {date(2026, 3, 7): True}) == 2
    assert working_days(DEADLINE, monday, {date(2026, 3, 9): False}) == 0


def test_what_nothing_was_accepted_of_scores_nothing_until_it_is_overdue() -> None:
    owed = Owed(OBLIGATION, True, DEADLINE, (1,), (1,), "returned", False, None, None)
    wrong = Submission("s", OBLIGATION, AGENCY, 1, "k", "", DEADLINE, body(7))
    assert expected(owed, [wrong], {}) == Expected("returned", None, None)
    assert expected(replace(owed, overdue=True), [wrong], {}) == Expected("returned", None, Decimal(0))
    assert expected(owed, [], {}) == Expected("nothing_sent", None, None)


def test_a_neighbour_nobody_watched_proves_nothing() -> None:
    ledger, stores = world()
    ledger.judged_seconds = {}
    assert CHECKS["I8"](ledger, stores) == ["no neighbour's report was watched"]
    ledger.judged_seconds = {"a": 5.0, "b": 5.1}
    assert CHECKS["I8"](ledger, stores) == ["b was judged and scored after 5.1 s"]


def test_ledgers_of_several_loads_are_one() -> None:
    first, second = world()[0], Ledger()
    second.gave_up.append(next(iter(first.posted.values())))
    whole = merged([first, second])
    assert len(whole.receipts) == 2
    assert len(whole.gave_up) == 1
