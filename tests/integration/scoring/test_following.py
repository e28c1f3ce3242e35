"""Submissions and verdicts folded on a real database: any order between them, nothing lost, nothing waiting unseen."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from services.scoring.obligations import domain, handlers, store
from services.scoring.obligations.facts import NOTHING, Facts
from services.scoring.obligations.standing import stand
from services.scoring.scores.policy import PolicyMissing
from shared.consuming.batch import Batch
from shared.contract.events.registry import Deadline
from tests.integration.scoring.rig import KEY, Rig, agency, key_of, local, regime, request
from tests.unit.scoring.samples import DEADLINE, submission, verdict

LATE = DEADLINE + timedelta(days=1)


def _without_ids(facts: Facts) -> list[Any]:
    return [replace(version, verdicts=tuple(replace(judged, event_id=None) for judged in version.verdicts))
            for version in facts.versions]  # fmt: skip


async def known(rig: Rig, *names: str) -> set[str]:
    async with rig.database.transaction() as tx:
        return await handlers.registered_names(tx, names)


async def test_a_report_in_time_is_followed_to_its_score(rig: Rig) -> None:
    await rig.registry(agency(), regime())
    await rig.generate()
    await rig.follow(submission())
    assert (await rig.one())["standing"] == "awaiting_verdict"
    await rig.follow(verdict())
    row = await rig.one()
    assert (row["standing"], row["on_time"], row["score"]) == ("fulfilled", True, Decimal(100))
    assert await rig.changes() == [("opened",), ("fulfilled", "score")]
    assert (await rig.published("fulfilled"))[0].answer_submission_id == submission().submission_id
    changed = (await rig.published("score"))[0]
    assert (changed.score, changed.officer_id, changed.policy_version) == (Decimal(100), "officer-1", "2019.1")
    await rig.check_scores()


async def test_what_is_stored_is_read_back_as_it_was(rig: Rig) -> None:
    await rig.registry(agency(), regime())
    await rig.generate()
    events: list[handlers.Report] = [
        submission(),
        verdict(outcome="returned", present=1),
        submission(2, LATE),
        verdict(2, received_at=LATE),
    ]
    await rig.follow(*events)
    async with rig.database.transaction() as tx:
        stored = (await store.lock_obligations(tx, [KEY]))[KEY]
    facts = domain.with_reports(NOTHING, [(None, event) for event in events])
    assert _without_ids(stored.facts) == _without_ids(facts)
    derived = stand(stored.terms, facts, rig.rules.policy(stored.terms), rig.rules.calendar(stored.terms))
    assert stored.state == derived.state
    assert [(line.clause, line.points, line.cause) for line in stored.lines_in_force] == [
        (due.clause, due.points, due.cause) for due, _ in derived.lines
    ]
    await rig.check_scores()


async def test_a_verdict_that_comes_first_and_alone_is_enough(rig: Rig) -> None:
    await rig.registry(agency(), regime())
    batch = await rig.follow(verdict())
    assert not batch.deferred
    assert (await rig.one())["standing"] == "fulfilled"
    before = await rig.published()
    await rig.follow(submission())
    assert await rig.published() == before


async def test_each_line_names_the_event_that_caused_it(rig: Rig) -> None:
    await rig.registry(agency(), regime())
    batch = await rig.follow(verdict())
    (event,) = batch.events
    lines = await rig.rows("SELECT event_id FROM score_lines")
    assert [row["event_id"] for row in lines] == [event.id, event.id]


async def test_a_report_before_the_generator_makes_its_obligation_itself(rig: Rig) -> None:
    await rig.registry(agency(), regime())
    far = key_of("H99.31", "2027-M08")
    await rig.follow(submission(key=far, received_at=local(2026, 10, 2)))
    opened = (await rig.published("opened"))[0]
    assert (opened.obligation, opened.deadline) == (far, local(2027, 8, 18, 17))
    assert (await rig.one(far))["owed"]
    await rig.generate()
    assert [event.obligation for event in await rig.published("opened")].count(far) == 1


async def test_a_report_waits_for_its_regime_version_then_its_agency_by_name(rig: Rig) -> None:
    batch = await rig.follow(submission(), verdict())
    assert list(batch.deferred.values()) == ["regime/KTXH-THANG/1"] * 2
    assert await known(rig, "regime/KTXH-THANG/1") == set()
    await rig.registry(regime())
    assert await known(rig, "regime/KTXH-THANG/1", "regime/KTXH-THANG/2") == {"regime/KTXH-THANG/1"}
    assert list((await rig.follow(submission())).deferred.values()) == ["agency/H99.31"]
    await rig.registry(agency())
    assert await known(rig, "agency/H99.31", "agency/H99.32") == {"agency/H99.31"}
    assert not (await rig.follow(submission(), verdict())).deferred
    assert (await rig.one())["standing"] == "fulfilled"


async def test_a_report_for_an_ad_hoc_request_waits_for_the_request(rig: Rig) -> None:
    await rig.registry(agency(), regime("THIENTAI-DX", frequency="adhoc", deadline=Deadline(rule="on_request")))
    key = key_of("H99.31", "DX-2026-003", "THIENTAI-DX")
    assert list((await rig.follow(submission(key=key))).deferred.values()) == ["request/DX-2026-003"]
    await rig.registry(request())
    assert await known(rig, "request/DX-2026-003", "request/DX-9") == {"request/DX-2026-003"}
    await rig.follow(verdict(key=key, received_at=local(2026, 10, 9, 17)))
    assert (await rig.one(key))["on_time"] is True


async def test_a_year_no_calendar_covers_is_waited_for_by_name(rig: Rig) -> None:
    await rig.registry(agency(), regime())
    key = key_of("H99.31", "2040-M01")
    assert list((await rig.follow(submission(key=key))).deferred.values()) == ["calendar/2040"]
    assert await known(rig, "calendar/2040", "calendar/2030") == {"calendar/2030"}


async def test_a_report_whose_deadline_cannot_be_computed_waits_for_the_mended_regime(rig: Rig) -> None:
    hopeless = Deadline(rule="day_of_month", month_offset=202601)
    await rig.registry(agency(), regime(deadline=hopeless))
    batch = await rig.follow(submission(), verdict())
    assert (list(batch.deferred.values()), batch.rejected) == (["regime-record/KTXH-THANG/1"] * 2, {})
    await rig.registry(regime(version=1))  # the same record again mends nothing
    assert await known(rig, "regime-record/KTXH-THANG/1", "regime-record/OTHER/0") == set()
    await rig.registry(regime(version=2))
    assert await known(rig, "regime-record/KTXH-THANG/1") == {"regime-record/KTXH-THANG/1"}
    assert not (await rig.follow(submission(), verdict())).deferred
    row = await rig.one()
    assert (row["standing"], row["owed"]) == ("fulfilled", True)


async def test_a_report_for_a_request_that_ends_before_it_begins_waits_for_the_mended_request(rig: Rig) -> None:
    thematic = regime("THIENTAI-DX", frequency="adhoc", deadline=Deadline(rule="on_request"))
    await rig.registry(agency(), thematic, request(deadline=local(2026, 10, 1, 8)))
    key = key_of("H99.31", "DX-2026-003", "THIENTAI-DX")
    assert list((await rig.follow(submission(key=key))).deferred.values()) == ["request-record/DX-2026-003/1"]
    assert await known(rig, "request-record/DX-2026-003/1") == set()
    await rig.registry(request(version=2))
    assert await known(rig, "request-record/DX-2026-003/1") == {"request-record/DX-2026-003/1"}


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("H99.31/KTXH-THANG/2026-M13", "periods 1 to 12"),
        ("H99.31/KTXH-THANG/2026-Q3", "which is monthly"),
        ("H99.31/KTXH-THANG/2010-M01", "calendar begins"),
    ],
)
async def test_what_can_never_be_an_obligation_is_rejected_and_its_neighbours_applied(
    rig: Rig, key: str, why: str
) -> None:
    await rig.registry(agency(), regime())
    batch = await rig.follow(submission(key=key), submission())
    assert [why in text for text in batch.rejected.values()] == [True]
    assert await rig.keys() == [KEY]


async def test_a_request_of_another_regime_is_rejected_instead_of_waiting_for_ever(rig: Rig) -> None:
    adhoc: dict[str, Any] = {"frequency": "adhoc", "deadline": Deadline(rule="on_request")}
    await rig.registry(agency(), regime("OTHER", **adhoc), regime("THIENTAI-DX", **adhoc), request())
    batch = await rig.follow(submission(key=key_of("H99.31", "DX-2026-003", "OTHER")))
    assert not batch.deferred
    assert "asks for THIENTAI-DX" in next(iter(batch.rejected.values()))


async def test_a_report_nobody_asked_of_the_agency_is_followed_but_not_scored(rig: Rig) -> None:
    await rig.registry(agency(kind="department"), regime())
    await rig.follow(submission(), verdict())
    row = await rig.one()
    assert (row["owed"], row["standing"], row["score"]) == (False, "fulfilled", None)
    assert await rig.published() == []
    await rig.at(DEADLINE + timedelta(days=30))
    assert await rig.published() == []


async def test_a_report_of_a_time_no_version_governs_is_not_owed_but_kept(rig: Rig) -> None:
    await rig.registry(agency(), regime(effective_from=local(2026, 12, 1).date()))
    await rig.follow(submission())
    assert (await rig.one())["owed"] is False


async def test_older_versions_and_repetitions_change_nothing(rig: Rig) -> None:
    await rig.registry(agency(), regime())
    await rig.follow(submission(2), verdict(2))
    before, told = await rig.one(), await rig.published()
    await rig.follow(submission(2), verdict(2), submission(1))
    after = await rig.one()
    assert (after["answer"], after["officer_id"], after["version"]) == (2, "officer-2", before["version"])
    assert await rig.published() == told


async def test_a_batch_of_many_keys_and_versions_is_folded_in_order_per_key(rig: Rig) -> None:
    codes = [f"H99.{number}" for number in range(100, 150)]
    await rig.registry(regime(), *(agency(code) for code in codes))
    await rig.generate()
    events = []
    for version in (1, 2, 3):
        for code in codes:
            key = key_of(code, "2026-M10")
            events += [
                submission(version, key=key),
                verdict(version, "accepted" if version == 3 else "returned", key=key),
            ]
    await rig.follow(*events)
    rows = await rig.rows(
        "SELECT standing, document->'state'->>'score' AS score FROM obligations WHERE period = '2026-M10'"
    )
    assert {tuple(row.values()) for row in rows} == {("fulfilled", "100")}
    assert len(rows) == 50
    for code in codes[:3]:
        told = await rig.published(key=key_of(code, "2026-M10"))
        assert [event.version for event in told] == list(range(1, len(told) + 1))
    await rig.check_scores()


async def test_two_batches_about_the_same_keys_at_once_lose_nothing(rig: Rig) -> None:
    codes = [f"H99.{number}" for number in range(100, 120)]
    await rig.registry(regime(), *(agency(code) for code in codes))
    keys = [key_of(code, "2026-M10") for code in codes]
    await asyncio.gather(
        rig.follow(*(submission(key=key) for key in keys)),
        rig.follow(*(verdict(key=key) for key in reversed(keys))),
        rig.generate(),
    )
    rows = await rig.rows("SELECT document->'state'->>'score' AS score FROM obligations WHERE period = '2026-M10'")
    assert [row["score"] for row in rows] == ["100"] * 20
    assert len(await rig.published("fulfilled")) == 20
    await rig.check_scores()


async def test_a_policy_that_is_not_deployed_is_waited_for_and_nothing_is_dead_lettered(rig: Rig) -> None:
    await rig.registry(agency(), regime())
    await rig.generate()
    async with rig.database.transaction() as tx:
        await tx.execute(text("UPDATE obligations SET terms = replace(CAST(terms AS text), '2019.1', '2030.1')::json"))
    batch: Batch[handlers.Report] = Batch.of([verdict()])
    with pytest.raises(PolicyMissing):
        async with rig.database.transaction() as tx:
            await handlers.follow(batch, tx, rig.rules)
