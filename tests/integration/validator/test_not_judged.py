"""A report that could not be judged says so once, is kept, and is judged again by an operator's command."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from deploy.reconcile import verdicts
from deploy.reconcile.dossiers import Dossier
from services.validator import handlers, metrics, rejudging, validation_age
from services.validator.domain import Overrun
from services.validator.form_cache import FormCache
from services.validator.judging import Budget, Judging
from services.validator.rejudging import judge_again
from shared.consuming.batch import Batch
from shared.contract.events import NotJudged, SubmissionReceived
from tests.integration.validator.rig import Rig, regime, submission
from tests.integration.validator.test_costly_reports import FORM as NARRATIVES
from tests.integration.validator.test_costly_reports import SLOW_JUDGE, hostile

OVER = Overrun("tier", "narrative", "N", 1.5)


async def could_not(rig: Rig, *bodies: SubmissionReceived) -> Batch[SubmissionReceived]:
    """Recorded as the process beside would have it that was ended."""
    batch = Batch.of(bodies)
    batch.prepared = {event.id: OVER for event in batch.events}
    async with rig.database.transaction() as tx:
        await handlers.record(batch, tx, clock=rig.clock)
    return batch


async def said(rig: Rig) -> list[NotJudged]:
    rows = await rig.rows("SELECT body FROM outbox WHERE type LIKE '%not_judged%' ORDER BY id")
    return [NotJudged.model_validate_json(row["body"]) for row in rows]


async def kept(rig: Rig) -> list[dict[str, Any]]:
    return await rig.rows("SELECT tries, judged_at IS NOT NULL AS judged, report IS NULL AS forgotten FROM not_judged")


async def age(rig: Rig) -> float:
    async with rig.database.read_transaction() as snapshot:
        await validation_age.look(snapshot)
    return float(metrics.VALIDATION_AGE_SECONDS._value.get())


async def test_it_is_said_once_with_the_tier_that_ran_over_and_no_verdict_is_stored(rig: Rig) -> None:
    await rig.keep(regime())
    body = submission()
    await could_not(rig, body)
    (event,) = await said(rig)
    assert (event.submission_id, event.outcome, event.revision, event.decided_at) == (
        body.submission_id, "not_judged", 1, rig.clock.now(),
    )  # fmt: skip
    (finding,) = event.findings
    assert (finding.code, finding.tier, finding.severity, finding.weight) == ("X01", "narrative", "warning", "info")
    assert await rig.published() == []
    assert await rig.rows("SELECT * FROM verdict") == []
    assert await age(rig) > 0, "it is visible"
    await could_not(rig, body)
    await rig.judge(body)
    assert (len(await said(rig)), await rig.published()) == (1, []), "another event about it changes nothing"


async def test_judged_again_it_has_the_next_revision_and_is_forgotten(rig: Rig) -> None:
    await rig.keep(regime())
    body, other = submission(), submission("H99.03")
    await could_not(rig, body, other)
    assert await judge_again(rig.database, rig.judging, rig.clock, body.submission_id) == "judged"
    (verdict,) = await rig.published()
    assert (verdict.submission_id, verdict.outcome, verdict.revision) == (body.submission_id, "accepted", 2)
    assert verdict.received_at == body.received_at
    assert sorted((row["tries"], row["judged"], row["forgotten"]) for row in await kept(rig)) == [
        (1, False, False), (2, True, True),
    ]  # fmt: skip
    assert await judge_again(rig.database, rig.judging, rig.clock, body.submission_id) == "gone"
    await rig.judge(body)
    assert len(await rig.published()) == 1, "control: it has its verdict"
    assert await age(rig) > 0, "the other waits"
    assert await judge_again(rig.database, rig.judging, rig.clock, other.submission_id) == "judged"
    assert await age(rig) == 0
    await rig.judging.stop()


async def test_what_runs_over_again_is_counted_and_told_to_nobody_anew(rig: Rig) -> None:
    await rig.keep(regime(form=NARRATIVES))
    body = hostile(1)
    await could_not(rig, body)
    tight = Judging(FormCache(), Budget(report_seconds=0.5), module=SLOW_JUDGE)
    assert await judge_again(rig.database, tight, rig.clock, body.submission_id) == "over"
    assert [row["tries"] for row in await kept(rig)] == [2]
    assert (len(await said(rig)), await rig.published()) == (1, [])
    await tight.stop()
    assert await judge_again(rig.database, rig.judging, rig.clock, body.submission_id) == "judged", "by wider limits"
    await rig.judging.stop()


async def test_a_row_keeps_its_report_until_it_is_judged(rig: Rig) -> None:
    await rig.keep(regime())
    await could_not(rig, submission())
    with pytest.raises(IntegrityError, match="not_judged_keeps_its_report"):
        async with rig.database.transaction() as tx:
            await tx.execute(text("UPDATE not_judged SET report = NULL"))


@pytest.mark.parametrize("arguments", [["judge"], ["judge", "--all", "--cpu-seconds", "0"], ["judge", "x"], []])
def test_an_order_that_names_nothing_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        rejudging.command(arguments)
    assert capsys.readouterr().err


async def test_reconcile_compares_what_is_kept_of_it_with_its_event_and_with_intake(rig: Rig) -> None:
    await rig.keep(regime())
    body = submission()
    await could_not(rig, body)
    await judge_again(rig.database, rig.judging, rig.clock, body.submission_id)
    await rig.judging.stop()
    texts = "CAST(compared_with AS text) AS compared_with, CAST(looked_up AS text) AS looked_up"
    dossier = Dossier(
        body.obligation,
        submissions=[body.model_dump() | {"sha256": bytes.fromhex(body.sha256)}],
        verdicts=await rig.rows(f"SELECT *, {texts} FROM verdict"),
        not_judged=await rig.rows("SELECT *, CAST(document AS text) AS document FROM not_judged"),
        reached=await rig.rows("SELECT *, 'outbox' AS place FROM outbox WHERE topic = 'verdicts' ORDER BY id"),
    )

    def differences(of: Dossier) -> list[str]:
        unable = {row["submission_id"]: row for row in of.not_judged}
        judged = {row["submission_id"]: row for row in of.verdicts}
        anything: Any = SimpleNamespace(archived=lambda *given: True)
        found = [*verdicts._against_submissions(of, judged, unable), *verdicts._events(of, {}, anything)]
        return [str(one) for one in found]

    (row,) = dossier.not_judged
    assert differences(dossier) == []
    document = json.loads(row["document"])
    for spoiled in (
        {"verdict_id": body.submission_id}, {"obligation": "x"}, {"version": 9}, {"tries": 1}, {"judged_at": None},
        {"tried_at": row["judged_at"] + timedelta(seconds=1)}, {"report": b'{"sha256": "00"}'},
        {"document": json.dumps(document | {"warnings": 9})}, {"document": json.dumps(document | {"agency": "H98"})},
    ):  # fmt: skip
        assert differences(replace(dossier, not_judged=[row | spoiled])), spoiled
    assert differences(replace(dossier, not_judged=[])), "its event, and the revision before the verdict's"
    assert differences(replace(dossier, reached=dossier.reached[1:])), "the event is lost"
    waiting = replace(dossier, verdicts=[], reached=dossier.reached[:1])
    kept = {"judged_at": None, "report": body.encode(), "tries": 1}
    assert differences(replace(waiting, not_judged=[row | kept])) == [], "without a verdict nothing is missing"
    assert differences(waiting), "control: it says that it was judged"
