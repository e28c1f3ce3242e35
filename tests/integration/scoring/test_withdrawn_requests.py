"""A request that its asker withdraws counts against nobody; what had answered it in time keeps what it earned."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import text

from services.scoring import registry
from services.scoring.obligations import handlers, setbacks, withdrawals
from shared.consuming.batch import Batch
from shared.contract.events import Deadline, RequestIssued
from tests.integration.scoring.rig import Rig, agency, local, officer, regime, request
from tests.integration.scoring.test_transfers import closing, department
from tests.unit.scoring.samples import submission, verdict

ADHOC: dict[str, Any] = {"frequency": "adhoc", "deadline": Deadline(rule="on_request"), "remind_working_days": 1}
REGIME, REQUEST = "THIENTAI-DX", "DX-2026-003"
FIRST, SECOND = (f"{code}/{REGIME}/{REQUEST}" for code in ("H99.31", "H99.32"))
WITHDRAWN = local(2026, 10, 13, 9)


def withdrawal(version: int = 2, **changes: Any) -> RequestIssued:
    return request(withdrawn_at=WITHDRAWN, withdrawal_reason="Đã có số liệu", version=version, **changes)


async def set_document(rig: Rig, document: Any) -> None:
    changed = text("UPDATE obligations SET document = CAST(:document AS json) WHERE obligation = :key")
    async with rig.database.transaction() as tx:
        await tx.execute(changed, {"document": json.dumps(document), "key": FIRST})


async def asked(rig: Rig) -> None:
    await rig.registry(regime(REGIME, **ADHOC), agency("H99.31"), agency("H99.32"), officer(), request())
    await rig.generate()


async def test_the_withdrawal_takes_back_what_counted_against_the_late_and_leaves_who_answered_in_time(
    rig: Rig,
) -> None:
    late = f"H99.33/{REGIME}/{REQUEST}"
    await rig.registry(agency("H99.33"))
    await asked(rig)
    await rig.follow(verdict(key=SECOND, received_at=local(2026, 10, 8, 9)))
    await rig.follow(verdict(key=late, received_at=local(2026, 10, 10, 18)))
    await rig.at(local(2026, 10, 12, 9))
    assert [(await rig.one(key))["score"] for key in (SECOND, late)] == [100, 90]
    assert (await rig.one(FIRST))["overdue"]
    before = await rig.changes(SECOND)
    await rig.registry(withdrawal())
    await rig.at(WITHDRAWN)
    for key in (FIRST, late):
        row = await rig.one(key)
        assert (row["owed"], row["overdue"], row["score"], row["next_at"]) == (False, False, None, None)
        assert "not_owed" in (await rig.changes(key))[-1]
    row = await rig.one(SECOND)
    assert (row["owed"], row["score"], row["next_at"]) == (True, 100, None)
    assert await rig.changes(SECOND) == before  # nothing is told anew
    await rig.check_scores()
    # said again, as after a replay, it changes nothing more
    told = len(await rig.published())
    await rig.registry(withdrawal(3))
    await rig.generate()
    assert len(await rig.published()) == told


async def withdrawn_while_an_answer_opens(rig: Rig) -> dict[str, Any]:
    """The answer's obligation is being made, of the request as it was, while the withdrawal comes and is followed."""
    await rig.registry(regime(REGIME, **ADHOC), agency("H99.31"), agency("H99.32"), officer(), request())
    answer: Batch[Any] = Batch.of([verdict(outcome="returned", key=FIRST, received_at=local(2026, 10, 8, 9))])
    rig.clock.set(WITHDRAWN)
    async with rig.database.transaction() as tx:
        await handlers.follow(answer, tx, rig.rules)
        withdrawing = asyncio.create_task(rig.registry(withdrawal()))
        await asyncio.wait({withdrawing}, timeout=1)
        await rig.generate()
    await withdrawing
    await rig.generate()
    return await rig.one(FIRST)


async def test_a_withdrawal_that_comes_while_an_answer_opens_its_obligation_is_followed(rig: Rig) -> None:
    assert not (await withdrawn_while_an_answer_opens(rig))["owed"]


async def test_the_control_without_holding_the_request_it_stays_owed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(registry, "hold_requests", nothing)
    assert (await withdrawn_while_an_answer_opens(rig))["owed"]


async def test_the_control_without_the_sweep_the_late_stay_overdue(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object) -> int:
        return 0

    await asked(rig)
    await rig.at(local(2026, 10, 12, 9))
    monkeypatch.setattr(withdrawals, "withdraw", nothing)
    await rig.registry(withdrawal())
    await rig.at(WITHDRAWN)
    assert (await rig.one(FIRST))["overdue"]


async def test_what_was_sent_in_time_waits_for_its_verdict_and_counts_if_it_is_accepted(rig: Rig) -> None:
    await asked(rig)
    for key in (FIRST, SECOND):
        await rig.follow(submission(key=key, received_at=local(2026, 10, 8, 9)))
    await rig.registry(withdrawal())
    await rig.at(WITHDRAWN)
    assert [(await rig.one(key))["owed"] for key in (FIRST, SECOND)] == [True, True]
    await rig.follow(verdict(outcome="returned", key=FIRST, received_at=local(2026, 10, 8, 9)))
    await rig.follow(verdict(key=SECOND, received_at=local(2026, 10, 8, 9)))
    rows = [await rig.one(key) for key in (FIRST, SECOND)]
    assert [(row["owed"], row["standing"], row["score"]) for row in rows] == [
        (False, "returned", None),
        (True, "fulfilled", 100),
    ]
    await rig.check_scores()


async def test_an_answer_in_time_that_is_heard_of_after_the_withdrawal_counts(rig: Rig) -> None:
    await asked(rig)
    await rig.registry(withdrawal())
    await rig.at(WITHDRAWN)
    assert not (await rig.one(FIRST))["owed"]
    await rig.follow(verdict(key=FIRST, received_at=local(2026, 10, 8, 9)))
    row = await rig.one(FIRST)
    assert (row["owed"], row["score"]) == (True, 100)
    assert {"owed_again", "fulfilled"} <= set((await rig.changes(FIRST))[-1])
    # also where nothing of the request was known before
    other = f"H99.34/{REGIME}/{REQUEST}"
    await rig.registry(agency("H99.34"))
    await rig.follow(verdict(key=other, received_at=local(2026, 10, 8, 9)))
    assert ((await rig.one(other))["owed"], (await rig.one(other))["score"]) == (True, 100)


async def test_what_comes_after_the_withdrawal_is_followed_and_not_scored(rig: Rig) -> None:
    await rig.registry(regime(REGIME, **ADHOC), agency("H99.31"), withdrawal())
    await rig.generate()
    assert await rig.keys() == []
    await rig.follow(submission(key=FIRST, received_at=local(2026, 10, 14, 9)))
    row = await rig.one(FIRST)
    assert (row["owed"], row["standing"], row["score"]) == (False, "awaiting_verdict", None)


async def test_an_agency_that_lives_on_does_not_owe_a_withdrawn_request_again(rig: Rig) -> None:
    of_heir = f"H99.05/{REGIME}/{REQUEST}"
    await rig.registry(regime(REGIME, **ADHOC), agency("H99.31"), department(), request())
    await rig.generate()
    await rig.at(local(2026, 10, 6, 8))
    await rig.registry(closing(on=local(2026, 10, 7).date()))
    await rig.generate()
    assert (await rig.one(of_heir))["owed"]
    await rig.registry(withdrawal())
    await rig.generate()
    assert not (await rig.one(of_heir))["owed"]
    await rig.registry(agency("H99.31", version=3))
    await rig.generate()
    assert [(await rig.one(key))["owed"] for key in (FIRST, of_heir)] == [False, False]


async def test_one_obligation_that_cannot_be_read_keeps_none_of_the_others_and_is_tried_again(rig: Rig) -> None:
    await asked(rig)
    (kept,) = await rig.rows("SELECT document FROM obligations WHERE obligation = :key", key=FIRST)
    await set_document(rig, {})
    await rig.registry(withdrawal())
    await rig.generate()
    assert not (await rig.one(SECOND))["owed"]
    assert [(row["sweep"], row["subject"]) for row in await rig.rows("SELECT * FROM setbacks")] == [("withdraw", FIRST)]
    async with rig.database.transaction() as tx:
        await setbacks.retry(tx, None)
    await set_document(rig, kept["document"])
    await rig.generate()
    assert not (await rig.one(FIRST))["owed"]
