"""What is open when an agency closes goes to its heir or falls, as its record says: never lost, never scored twice."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from services.scoring.obligations import generator, transfers
from shared.contract.events import AgencyRegistered
from tests.integration.scoring.rig import Rig, agency, key_of, officer, regime, request
from tests.unit.scoring.samples import DEADLINE, local, submission, verdict

CLOSED, HEIR, LAST = "H99.31", "H99.05", "H99.06"
M10, OF_HEIR, OF_LAST = (key_of(code, "2026-M10") for code in (CLOSED, HEIR, LAST))
CLOSING = date(2026, 10, 10)


def closing(version: int = 2, on: date = CLOSING, to: str = HEIR, **changes: Any) -> AgencyRegistered:
    return agency(CLOSED, closed_on=on, successors=(to,), open_obligations="transfer", version=version, **changes)


def dropping(version: int) -> AgencyRegistered:
    """It closes, and what it still owes falls; an heir may be named all the same."""
    return agency(CLOSED, closed_on=CLOSING, successors=(HEIR,), open_obligations="withdraw",
                  closing_reason="Giải thể", version=version)  # fmt: skip


def what_fell_stays_fallen(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "_UNLIKE_OF_AGENCIES"
    only = str(getattr(generator, name)).replace(generator._EXISTS_OR_HANDS_ON, generator._EXISTS_WHEN_DUE)
    monkeypatch.setattr(generator, name, text(only))


def department(code: str = HEIR, **changes: Any) -> AgencyRegistered:
    """No submitter of the regime, so that it owes only what it inherits."""
    return agency(code, kind="department", **changes)


async def begun(rig: Rig) -> None:
    await rig.registry(regime(), agency(CLOSED), department(), department(LAST), officer("cb-5", HEIR))
    await rig.generate()
    rig.clock.set(local(2026, 10, 2, 8))


async def owed(rig: Rig, period: str = "2026-M10") -> list[str]:
    rows = await rig.rows("SELECT agency FROM obligations WHERE owed AND period = :p ORDER BY agency", p=period)
    return [row["agency"] for row in rows]


async def test_the_heir_owes_what_was_open_by_the_same_deadline_and_it_says_from_where(rig: Rig) -> None:
    await begun(rig)
    await rig.registry(closing())
    await rig.generate()
    lost, got = await rig.obligation(M10), await rig.obligation(OF_HEIR)
    assert (lost.state.owed, lost.terms.heir, got.state.owed, got.terms.origins) == (False, HEIR, True, (CLOSED,))
    assert (got.state.deadline, got.terms.opens_at) == (DEADLINE, lost.terms.opens_at)
    assert (await rig.published(key=M10))[-1].transferred_to == HEIR
    assert [(event.changes, event.transferred_from) for event in await rig.published(key=OF_HEIR)] == [
        (("opened",), (CLOSED,))
    ]
    # what opens only after it has closed has no figures of it: that falls
    assert await owed(rig, "2026-M11") == []
    # judged like any other: overdue, then fulfilled
    await rig.at(local(2026, 10, 20))
    assert [event.obligation for event in await rig.published("overdue")] == [OF_HEIR]
    assert (await rig.one(OF_HEIR))["officer_id"] == "cb-5"
    await rig.follow(verdict(key=OF_HEIR, received_at=local(2026, 10, 20, 9)))
    assert ((await rig.one(OF_HEIR))["score"], (await rig.one(M10))["score"]) == (90, None)
    await rig.check_scores()


async def test_the_control_without_a_transfer_the_report_falls_between(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "heir_of", lambda lost, closing: None)
    what_fell_stays_fallen(monkeypatch)  # else it would be owed again for ever, to be handed on
    await begun(rig)
    await rig.registry(closing())
    await rig.generate()
    assert await owed(rig) == []


async def test_a_closing_that_is_known_before_the_period_is_generated_hands_it_on_all_the_same(rig: Rig) -> None:
    await rig.registry(regime(), closing(1), department(), officer("cb-5", HEIR))
    await rig.generate()
    assert await owed(rig) == [HEIR]
    assert (await rig.obligation(OF_HEIR)).terms.origins == (CLOSED,)
    assert await owed(rig, "2026-M11") == [], "it opens only after the closing"


@pytest.mark.parametrize(("on", "heirs"), [(date(2026, 9, 15), [HEIR]), (date(2026, 9, 14), [])])
async def test_a_period_is_handed_on_that_opens_on_the_last_day_and_none_that_opens_later(
    rig: Rig, on: date, heirs: list[str]
) -> None:
    await rig.registry(regime(), closing(1, on=on), department())
    await rig.generate()
    assert await owed(rig) == heirs


async def test_the_control_generated_for_who_exists_when_it_is_due_alone_it_falls_between(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = str(generator._GENERATE).replace(generator._EXISTS_OR_HANDS_ON, generator._EXISTS_WHEN_DUE)
    assert only != str(generator._GENERATE)
    monkeypatch.setattr(generator, "_GENERATE", text(only))
    await rig.registry(regime(), closing(1), department())
    await rig.generate()
    assert await owed(rig) == []


async def test_a_withdrawal_lets_it_fall(rig: Rig) -> None:
    await begun(rig)
    await rig.registry(dropping(2))
    await rig.generate()
    assert await owed(rig) == []
    assert OF_HEIR not in await rig.keys()


async def test_what_fell_is_handed_on_when_the_record_names_an_heir_after_all(rig: Rig) -> None:
    await begun(rig)
    await rig.registry(dropping(2))
    await rig.generate()
    assert await owed(rig) == []
    await rig.registry(closing(3))
    await rig.generate()
    assert (await owed(rig), (await rig.obligation(OF_HEIR)).terms.origins) == ([HEIR], (CLOSED,))
    assert await owed(rig, "2026-M11") == [], "it opens only after the closing"
    await rig.registry(dropping(4))
    await rig.generate()
    assert await owed(rig) == []


async def test_the_control_followed_as_what_nobody_asked_for_it_stays_fallen(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    what_fell_stays_fallen(monkeypatch)
    await begun(rig)
    await rig.registry(dropping(2))
    await rig.generate()
    await rig.registry(closing(3))
    await rig.generate()
    assert await owed(rig) == []


async def test_an_heir_that_owes_the_same_report_itself_owes_it_once(rig: Rig) -> None:
    await rig.registry(regime(), agency(CLOSED), agency(HEIR))
    await rig.generate()
    await rig.registry(closing())
    await rig.generate()
    own = await rig.obligation(OF_HEIR)
    assert (await owed(rig), own.terms.origins, len(await rig.published(key=OF_HEIR))) == ([HEIR], (), 1)
    await rig.registry(agency(CLOSED, version=3))
    await rig.generate()
    assert await owed(rig) == [HEIR, CLOSED]


async def test_two_that_merge_are_owed_once_and_one_that_reopens_takes_only_its_own_back(rig: Rig) -> None:
    await begun(rig)
    other = {"successors": (HEIR,), "open_obligations": "transfer", "closed_on": CLOSING}
    await rig.registry(agency("H99.32"))
    await rig.generate()
    await rig.registry(closing(), agency("H99.32", version=2, **other))
    await rig.generate()
    assert ((await rig.obligation(OF_HEIR)).terms.origins, await owed(rig)) == ((CLOSED, "H99.32"), [HEIR])
    await rig.registry(agency(CLOSED, version=3))
    await rig.generate()
    assert ((await rig.obligation(OF_HEIR)).terms.origins, await owed(rig)) == (("H99.32",), [HEIR, CLOSED])
    await rig.registry(agency("H99.32", version=3))
    await rig.generate()
    assert await owed(rig) == [CLOSED, "H99.32"]


async def test_closing_and_reopening_wipes_nothing_and_scores_nothing_twice(rig: Rig) -> None:
    await begun(rig)
    await rig.follow(verdict(outcome="returned", key=M10, received_at=local(2026, 10, 2)))
    await rig.registry(closing())
    await rig.generate()
    assert await owed(rig) == [HEIR]
    await rig.registry(agency(CLOSED, version=3))
    await rig.generate()
    again = await rig.obligation(M10)
    assert (await owed(rig), again.state.standing, len(again.facts.versions)) == ([CLOSED], "returned", 1)
    assert again.state.deadline == DEADLINE
    # the heir that has answered keeps it, whatever becomes of the closed one
    await rig.registry(closing(4))
    await rig.generate()
    await rig.follow(verdict(key=OF_HEIR, received_at=local(2026, 10, 15)))
    await rig.registry(agency(CLOSED, version=5))
    await rig.generate()
    assert await owed(rig) == [HEIR]
    await rig.follow(verdict(2, key=M10, received_at=local(2026, 10, 16)))
    await rig.generate()
    await rig.at(local(2026, 12, 1))
    scores = [(await rig.one(key))["score"] for key in (OF_HEIR, M10)]
    assert scores == [100, None]
    await rig.check_scores()


async def test_it_goes_on_through_heirs_that_close_too_and_comes_back(rig: Rig) -> None:
    await begun(rig)
    second: dict[str, Any] = {"closed_on": date(2026, 10, 12), "successors": (LAST,), "open_obligations": "transfer"}
    await rig.registry(closing(), department(version=2, **second))
    await rig.generate()
    assert (await owed(rig), (await rig.obligation(OF_LAST)).terms.origins) == ([LAST], (CLOSED,))
    await rig.registry(agency(CLOSED, version=3))
    await rig.generate()
    assert await owed(rig) == [CLOSED]
    await rig.registry(closing(4))
    await rig.generate()
    assert await owed(rig) == [LAST]
    await rig.registry(department(version=3))
    await rig.generate()
    assert await owed(rig) == [HEIR]


async def test_an_heir_that_hears_of_it_late_has_notice(rig: Rig) -> None:
    await begun(rig)
    await rig.at(local(2026, 10, 20, 8))  # overdue since the 19th
    await rig.registry(closing())
    await rig.generate()
    got = await rig.obligation(OF_HEIR)
    assert got.state.deadline == local(2026, 10, 23, 8), "three working days"
    await rig.mark()
    assert not (await rig.one(OF_HEIR))["overdue"]
    await rig.at(local(2026, 10, 21))  # and no later plan takes it away
    assert (await rig.obligation(OF_HEIR)).state.deadline == local(2026, 10, 23, 8)
    assert (await rig.one(M10))["score"] is None, "the closed one's lines are taken back"
    await rig.check_scores()


async def test_a_request_to_the_closed_agency_alone_goes_to_its_heir(rig: Rig) -> None:
    await begun(rig)
    await rig.registry(
        regime("DX", frequency="adhoc", deadline={"rule": "on_request"}),
        request("DX-1", regime="DX", agencies=(CLOSED,), issued_at=local(2026, 10, 2), deadline=local(2026, 10, 30)),
    )
    await rig.generate()
    await rig.registry(closing())
    await rig.generate()
    assert await owed(rig, "DX-1") == [HEIR]
    await rig.registry(
        request("DX-1", regime="DX", agencies=(CLOSED,), issued_at=local(2026, 10, 2), deadline=local(2026, 11, 5),
                version=2)
    )  # fmt: skip
    await rig.generate()
    assert (await owed(rig, "DX-1"), (await rig.one(key_of(HEIR, "DX-1", "DX")))["deadline"]) == (
        [HEIR], local(2026, 11, 5)
    )  # fmt: skip


async def test_a_report_sent_before_the_closing_counts_whenever_it_is_heard_of(rig: Rig) -> None:
    await begun(rig)
    await rig.follow(submission(key=M10, received_at=local(2026, 10, 9)))
    await rig.registry(closing())
    await rig.generate()
    assert await owed(rig) == [CLOSED], "it awaits its verdict"
    await rig.follow(verdict(outcome="returned", key=M10, received_at=local(2026, 10, 9)))
    await rig.generate()
    assert await owed(rig) == [HEIR], "who has closed cannot correct it"
    await rig.follow(verdict(2, key=M10, received_at=local(2026, 10, 10)))
    await rig.generate()
    assert await owed(rig) == [CLOSED]
    await rig.at(local(2026, 12, 1))
    assert [(await rig.one(key))["score"] for key in (M10, OF_HEIR)] == [100, None]


@pytest.mark.parametrize("seed", range(16))
async def test_in_any_order_one_duty_is_owed_once_and_scored_once(rig: Rig, seed: int) -> None:
    dice = random.Random(seed)
    await begun(rig)
    events: list[Any] = [
        closing(), closing(3, on=CLOSING + timedelta(days=1)), agency(CLOSED, version=4), closing(5),
        closing(6, to=LAST), department(LAST, version=2), dropping(7), closing(8),
        verdict(key=M10, received_at=local(2026, 10, 9)),
        verdict(2, outcome="returned", key=M10, received_at=local(2026, 10, 10)),
        verdict(key=OF_HEIR, received_at=local(2026, 10, 15)),
        verdict(outcome="returned", key=OF_LAST, received_at=local(2026, 10, 16)),
    ]  # fmt: skip
    dice.shuffle(events)
    newest = 1

    def expected(record: int) -> tuple[int, ...]:
        """What a record drops is owed by nobody, unless an heir has answered it before."""
        return (0, 1) if record == 7 else (1,)

    for event in events[: dice.randint(3, len(events))]:
        if isinstance(event, AgencyRegistered):
            await rig.registry(event)
            newest = max(newest, event.version) if event.code == CLOSED else newest
        else:
            await rig.follow(event)
        if dice.random() < 0.7:
            await rig.generate()
            assert len(await owed(rig)) in expected(newest)
    await rig.generate()  # an heir that hears of it only in December has notice until then
    await rig.at(local(2026, 12, 1))
    assert len(await owed(rig)) in expected(newest)
    rows = [await rig.one(key) for key in (M10, OF_HEIR, OF_LAST) if key in await rig.keys()]
    assert sum(row["score"] is not None for row in rows) in expected(newest)
    await rig.check_scores()
