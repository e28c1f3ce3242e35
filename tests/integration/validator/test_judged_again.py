"""Verdicts judged again once others have come: what changes, what does not, and that nobody is returned by it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from deploy.reconcile import scores, verdicts
from deploy.reconcile.dossiers import Dossier
from services.scoring.obligations.domain import with_reports
from services.scoring.obligations.facts import NOTHING
from services.validator import again as module
from services.validator import handlers, stopwatch, store
from services.validator.again import JudgingAgain
from services.validator.form_cache import FormCache
from services.validator.rejudging import judge_again
from shared.contract.events import Form, NotJudged, SubmissionReceived, VerdictReached, WaiverGranted, obligation_key
from shared.contract.ids import new_id
from shared.runtime.clock import monotonic_seconds
from tests.integration.validator.rig import FORM, Rig, event_of, regime, submission
from tests.integration.validator.test_children import ABOVE, ONE, TWO, agency, of, registered
from tests.integration.validator.test_not_judged import could_not

HARD = {
    "id": "QT-01", "tier": "cross_report", "severity": "error", "assert": '[T] = REF("KIA"; [T])',
    "message": "Kia {expected}.", "message_en": "There {expected}.", "fix": "Sửa.", "fix_en": "Correct it.",
    "tests": [{"figures": {"T": 1}, "reports": {"KIA": {"T": 1}}}],
}  # fmt: skip
RULED = Form.model_validate(FORM.model_dump(mode="json") | {"rules": [HARD]})


def report(code: str, total: int, version: int = 1, **others: Any) -> SubmissionReceived:
    figures = {"T": str(total), "A": str(total), "B": "0"}
    key = obligation_key("H99.02", code, "2026-M03")
    given: dict[str, Any] = {"obligation": key, "figures": figures} | others
    return submission(version=version, code=code, **given)


@pytest.fixture
def again(rig: Rig) -> JudgingAgain:
    return JudgingAgain(rig.database, FormCache(), rig.clock)


async def ticked(rig: Rig, again: JudgingAgain) -> int:
    """One tick."""
    async with rig.database.transaction() as tx:
        return await again.tick(tx)


async def swept(rig: Rig, again: JudgingAgain) -> int:
    """Ticks until the queue is empty: at least two, and more while any other database's transaction runs."""
    count = 0
    async with asyncio.timeout(60):
        while True:
            count += await ticked(rig, again)
            if not await rig.rows("SELECT submission_id FROM judge_again"):
                return count
            await asyncio.sleep(0.01)


async def said(rig: Rig, regime: str = "DAY", agency: str = "H99.02") -> list[tuple[int, int, str, list[str]]]:
    return [
        (one.version, one.revision, one.outcome, [finding.code for finding in one.findings])
        for one in await of_regime(rig, regime, agency)
    ]


async def of_regime(rig: Rig, regime: str = "DAY", agency: str = "H99.02") -> Sequence[VerdictReached]:
    return [verdict for verdict in await rig.published() if (verdict.regime, verdict.agency) == (regime, agency)]


async def test_a_report_that_comes_later_asks_for_an_explanation_and_returns_nobody(
    rig: Rig, again: JudgingAgain
) -> None:
    await rig.keep(regime("DAY", form=RULED), regime("KIA"))
    await rig.judge(report("DAY", 3))
    await swept(rig, again)  # once by itself: nothing changes
    await rig.judge(kia := report("KIA", 5))
    await swept(rig, again)
    await swept(rig, again)
    assert await said(rig) == [(1, 1, "accepted", ["K03"]), (1, 2, "accepted", ["QT-01"])]
    first, second = await of_regime(rig)
    (finding,) = second.findings
    assert (finding.severity, finding.weight, finding.explain) == ("warning", "confirm", True)
    assert (second.warnings, second.compared_with) == (1, (kia.submission_id,))
    (row,) = await rig.rows("SELECT * FROM verdict WHERE regime = 'DAY'")
    assert (row["verdict_id"], row["revision"], row["warnings"]) == (second.verdict_id, 2, 1)
    assert [line["code"] for line in await rig.rows("SELECT code FROM finding")] == ["QT-01"]
    (old,) = await rig.rows("SELECT verdict_id, document FROM earlier_verdict")
    assert old["verdict_id"] == first.verdict_id
    assert VerdictReached.model_validate(old["document"]) == first
    await rig.judge(report("KIA", 3, 2))  # corrected: it agrees now
    await rig.judge(report("KIA", 3, 3))  # and nothing changes any more
    await swept(rig, again)
    await swept(rig, again)
    assert (await said(rig))[2:] == [(1, 3, "accepted", [])]


async def test_the_control_at_arrival_the_same_rule_returns_and_what_was_returned_stays(
    rig: Rig, again: JudgingAgain
) -> None:
    await rig.keep(regime("DAY", form=RULED), regime("KIA"))
    await rig.judge(report("KIA", 5), report("DAY", 3))
    await rig.judge(report("KIA", 3, 2))
    await swept(rig, again)
    assert await said(rig) == [(1, 1, "returned", ["QT-01"])]


async def test_only_the_newest_accepted_version_is_judged_again(rig: Rig, again: JudgingAgain) -> None:
    await rig.keep(regime("DAY", form=RULED), regime("KIA"))
    await rig.judge(report("DAY", 3))
    await rig.judge(report("DAY", 5, 2))
    await rig.judge(report("KIA", 5))
    await swept(rig, again)
    assert [(version, revision) for version, revision, _, _ in await said(rig)] == [(1, 1), (2, 1), (2, 2)]
    assert len(await rig.rows("SELECT submission_id FROM looking")) == 1
    assert await rig.rows("SELECT submission_id FROM judge_again") == []


async def test_an_old_version_that_is_accepted_late_takes_no_newer_ones_place(rig: Rig, again: JudgingAgain) -> None:
    await rig.keep(regime("DAY", form=RULED), regime("KIA"))
    await could_not(rig, old := report("DAY", 3))
    await rig.judge(new := report("DAY", 5, 2))
    await could_not(rig, third := report("DAY", 7, 3))
    assert await judge_again(rig.database, rig.judging, rig.clock, old.submission_id) == "judged"
    assert [row["submission_id"] for row in await rig.rows("SELECT submission_id FROM looking")] == [new.submission_id]
    await rig.judge(report("KIA", 7))
    await swept(rig, again)
    assert [(version, revision) for version, revision, _, _ in await said(rig)] == [(2, 1), (1, 2), (2, 2)]
    await rig.judge(newest := report("DAY", 6, 4))
    async with rig.database.transaction() as tx:
        await store.insert_withdrawals(tx, [(newest.submission_id, newest.obligation, rig.clock.now())])
    assert await judge_again(rig.database, rig.judging, rig.clock, third.submission_id) == "judged"
    await rig.judging.stop()
    left = await rig.rows("SELECT submission_id FROM looking")
    assert third.submission_id in [row["submission_id"] for row in left], "what is withdrawn takes nobody's place"


async def test_a_validator_that_was_built_again_judges_again_and_scoring_takes_it(
    rig: Rig, again: JudgingAgain
) -> None:
    await rig.keep(regime("DAY", form=RULED), regime("KIA"))
    day = report("DAY", 3)
    for kia in (report("KIA", 5), report("KIA", 4, 2)):
        await rig.judge(*([day] if kia.version == 1 else []))
        await rig.judge(kia)
        await swept(rig, again)
        rig.clock.advance(seconds=1)
    before = await of_regime(rig)
    async with rig.database.transaction() as tx:  # its database is lost, and built again from the submissions
        await tx.execute(
            text("TRUNCATE verdict, finding, earlier_verdict, looking, looked_at, judge_again, not_judged")
        )
    rig.clock.advance(seconds=3600)
    await rig.judge(day)
    await rig.judge(report("KIA", 3, 3))
    await swept(rig, again)
    published = await of_regime(rig)
    told = published[len(before) :]
    assert [verdict.revision for verdict in before] == [1, 2, 3]
    assert [verdict.revision for verdict in told] == [1, 2], "it counts from 1 again"
    (version,) = with_reports(NOTHING, [(verdict.verdict_id, verdict) for verdict in published]).versions
    assert version.verdict is not None
    assert (version.verdict.event_id, version.verdict.findings) == (told[-1].verdict_id, ())
    assert [verdict.findings for verdict in before][-1], "control: what is published before said something else"


async def test_of_two_that_are_accepted_at_the_same_moment_neither_is_missed(rig: Rig, again: JudgingAgain) -> None:
    await rig.keep(regime("DAY", form=RULED), regime("KIA"))
    kia = await rig.judged(report("KIA", 5))
    async with rig.database.transaction() as tx:
        await handlers.record(kia, tx, clock=rig.clock)  # it finds nobody who looks at it, and is not seen yet
        await rig.judge(report("DAY", 3))
        assert [await ticked(rig, again) for _ in range(3)] == [0, 0, 0]  # the transaction still runs
    assert await swept(rig, again) == 1
    assert await said(rig) == [(1, 1, "accepted", ["K03"]), (1, 2, "accepted", ["QT-01"])]


async def test_what_rules_about_others_take_too_long_for_is_left_to_be_judged_alone(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.keep(regime("DAY", form=RULED), regime("KIA"))
    other: Any = {"agency": "H99.03", "obligation": obligation_key("H99.03", "DAY", "2026-M03")}
    bodies = [report("DAY", 3), report("DAY", 4, **other), report("DAY", 5, 2, **other), report("KIA", 5)]
    monkeypatch.setattr(handlers, "LOOKING_SECONDS", 0.0)  # the first report takes more
    outcome = await rig.consume("submissions", [event_of(body) for body in bodies])
    assert (outcome.applied, outcome.deferred) == ({SubmissionReceived.TYPE: 2}, {SubmissionReceived.TYPE: 2})
    assert [verdict.agency for verdict in await of_regime(rig)] == ["H99.02"]
    assert await rig.release_alone() == 1
    assert await rig.release() == 1
    assert await said(rig, "DAY", "H99.03") == [(1, 1, "accepted", ["K03"]), (2, 1, "accepted", ["K03"])]
    await rig.judging.stop()
    monkeypatch.undo()
    third: Any = {"agency": "H99.04", "obligation": obligation_key("H99.04", "DAY", "2026-M03")}
    events = [event_of(report("DAY", total, total, **third)) for total in (1, 2)]
    assert (await rig.consume("submissions", events)).deferred == {}, "control: half a second is enough for many"


def slow_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every rule about others takes a second of CPU."""
    monkeypatch.setattr(stopwatch, "work_seconds", partial(next, count()))


async def not_judged(rig: Rig) -> list[tuple[str, list[str]]]:
    rows = await rig.rows("SELECT body FROM outbox WHERE type LIKE '%not_judged%' ORDER BY id")
    found = [NotJudged.model_validate_json(row["body"]) for row in rows]
    return [(one.agency, [f"{finding.code} {finding.tier}" for finding in one.findings]) for one in found]


async def test_rules_about_others_are_ended_at_their_limit_and_the_report_counts_against_nobody(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.keep(regime("DAY", form=RULED), regime("KIA"))
    other: Any = {"agency": "H99.03", "obligation": obligation_key("H99.03", "DAY", "2026-M03")}
    slow_clock(monkeypatch)
    bodies = [report("DAY", 3), report("DAY", 4, **other), report("KIA", 5)]
    outcome = await rig.consume("submissions", [event_of(body) for body in bodies])
    assert outcome.deferred == {SubmissionReceived.TYPE: 2}, "in a batch it is left to be judged alone"
    assert (await of_regime(rig), await not_judged(rig)) == ([], [])
    assert await rig.release_alone() == 2
    assert sorted(await not_judged(rig)) == [("H99.02", ["X01 cross_report"]), ("H99.03", ["X01 cross_report"])]
    assert await of_regime(rig) == []
    assert await judge_again(rig.database, rig.judging, rig.clock, bodies[0].submission_id) == "judged", "no limit"
    assert await said(rig) == [(1, 2, "returned", ["QT-01"])]


async def test_what_takes_too_long_to_be_judged_again_is_set_aside_and_its_verdict_stands(
    rig: Rig, again: JudgingAgain, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.keep(regime("DAY", form=RULED), regime("KIA"))
    await rig.judge(report("DAY", 3))
    await swept(rig, again)
    await rig.judge(report("KIA", 5))
    slow_clock(monkeypatch)
    with capture_logs() as lines:
        async with asyncio.timeout(60):
            while not await ticked(rig, again):
                pass
    assert [(one["action"], "Overran" in one["error"]) for one in lines] == [("again.set_aside", True)]
    assert await said(rig) == [(1, 1, "accepted", ["K03"])]
    monkeypatch.undo()
    monkeypatch.setattr(module, "monotonic_seconds", lambda: monotonic_seconds() + module.SET_ASIDE_SECONDS)
    assert await swept(rig, again) == 1
    assert await said(rig) == [(1, 1, "accepted", ["K03"]), (1, 2, "accepted", ["QT-01"])], "control: in time"


async def test_the_one_above_is_judged_again_when_the_last_of_those_beneath_has_come(
    rig: Rig, again: JudgingAgain
) -> None:
    await registered(rig, agency(ABOVE, None), agency(ONE), agency(TWO))
    for body in (of(ABOVE, 5), of(ONE, 2), of(TWO, 9)):
        await rig.judge(body)
        await swept(rig, again)
    assert await said(rig, "BC", ABOVE) == [(1, 1, "accepted", ["K03"]), (1, 2, "accepted", ["QT-01"])]


async def test_reconcile_compares_every_revision_with_its_event(rig: Rig, again: JudgingAgain) -> None:
    await rig.keep(regime("DAY", form=RULED), regime("KIA"))
    await rig.judge(report("DAY", 3))
    await rig.judge(report("KIA", 5))
    await swept(rig, again)
    key = obligation_key("H99.02", "DAY", "2026-M03")
    texts = "CAST(compared_with AS text) AS compared_with, CAST(looked_up AS text) AS looked_up"
    dossier = Dossier(
        key,
        verdicts=await rig.rows(f"SELECT *, {texts} FROM verdict WHERE obligation = '{key}'"),
        findings=await rig.rows("SELECT *, CAST(waived AS text) AS waived FROM finding"),
        earlier_verdicts=await rig.rows("SELECT *, CAST(document AS text) AS document FROM earlier_verdict"),
        reached=await rig.rows(f"SELECT *, 'outbox' AS place FROM outbox WHERE key = '{key}' ORDER BY id"),
    )

    def differences(of: Dossier) -> list[str]:
        found = {row["verdict_id"]: [row] for row in of.findings}
        anything: Any = SimpleNamespace(archived=lambda *given: True)
        return [str(one) for one in verdicts._events(of, found, anything)]

    (row,) = dossier.earlier_verdicts
    assert differences(dossier) == []
    document = json.loads(row["document"])
    for spoiled in (
        {"verdict_id": key}, {"submission_id": key}, {"revision": 2}, {"obligation": "x"},
        {"document": json.dumps(document | {"warnings": 9})}, {"document": json.dumps(document | {"revision": 7})},
    ):  # fmt: skip
        assert differences(replace(dossier, earlier_verdicts=[row | spoiled])), spoiled
    assert differences(replace(dossier, earlier_verdicts=[]))
    assert differences(replace(dossier, verdicts=[dossier.verdicts[0] | {"revision": 3}]))
    said = scores._earlier(row, {str(row["verdict_id"]): "event"})
    assert (said["revision"], said["outcome"], said["findings"], said["event_id"]) == (1, "accepted", ["K03"], "event")


async def test_a_waived_rule_stays_waived_and_a_withdrawn_report_is_looked_at_no_more(
    rig: Rig, again: JudgingAgain
) -> None:
    first, last = rig.clock.now().date() - timedelta(days=1), rig.clock.now().date() + timedelta(days=9)
    waiver = WaiverGranted.model_validate(
        {
            "waiver_id": "MN-1", "regime": "DAY", "rule": "QT-01", "agencies": ["H99.02"], "asked_by": "cb-01",
            "approved_by": "vp-01", "reason": "Biểu mẫu", "since": first, "until": last, "version": 1,
        }
    )  # fmt: skip
    await rig.keep(regime("DAY", form=RULED), regime("KIA"), waiver)
    await rig.judge(report("DAY", 3))
    await rig.judge(kia := report("KIA", 5))
    await swept(rig, again)
    _, second = await of_regime(rig)
    (finding,) = second.findings
    assert finding.waived is not None
    assert (finding.code, finding.waived.weight, second.warnings, second.waived) == ("QT-01", "confirm", 0, 1)
    rig.clock.advance(seconds=60)
    async with rig.database.transaction() as tx:
        await store.insert_withdrawals(tx, [(kia.submission_id, kia.obligation, rig.clock.now())])
    await rig.judge(report("KIA", 3, 2))
    await swept(rig, again)
    assert (await said(rig))[2:] == [(1, 3, "accepted", [])]
    assert [(one.warnings, one.waived) for one in await of_regime(rig)][2:] == [(0, 0)]


async def test_one_that_cannot_be_judged_stops_nobody_and_is_tried_again_later(
    rig: Rig, again: JudgingAgain, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.keep(regime("DAY", form=RULED), regime("KIA"))
    await rig.judge(report("DAY", 3))
    key = obligation_key("H99.03", "DAY", "2026-M03")
    bad = report("DAY", 3).model_copy(update={"agency": "H99.03", "obligation": key, "submission_id": new_id()})
    await rig.judge(bad)
    await swept(rig, again)
    await rig.judge(report("KIA", 5))
    async with rig.database.transaction() as tx:
        await store.queue_again(tx, [bad.submission_id])
    right = JudgingAgain._base

    async def broken(self: JudgingAgain, row: store.Queued, *given: Any) -> Any:
        if row.verdict["submission_id"] == bad.submission_id:
            raise ValueError("a row that nobody foresaw")
        return await right(self, row, *given)

    monkeypatch.setattr(JudgingAgain, "_base", broken)
    with capture_logs() as lines:
        count = 0
        async with asyncio.timeout(60):
            while count < 2:
                count += await ticked(rig, again)
        assert [await ticked(rig, again) for _ in range(3)] == [0, 0, 0], "it waits, and nobody is held up by it"
    assert [(one["action"], one["submission"]) for one in lines] == [("again.set_aside", bad.submission_id)]
    assert (await said(rig))[1:] == [(1, 2, "accepted", ["QT-01"])], "the others are judged"
    left = await rig.rows("SELECT submission_id FROM judge_again")
    assert [row["submission_id"] for row in left] == [bad.submission_id], "it stays in the queue"
    monkeypatch.undo()
    assert await ticked(rig, again) == 0, "not yet"
    monkeypatch.setattr(module, "monotonic_seconds", lambda: monotonic_seconds() + module.SET_ASIDE_SECONDS)
    assert await swept(rig, again) == 1
    assert await rig.rows("SELECT submission_id FROM judge_again") == []


async def test_the_control_without_setting_aside_one_bad_report_stops_all(
    rig: Rig, again: JudgingAgain, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.keep(regime("DAY", form=RULED), regime("KIA"))
    await rig.judge(report("DAY", 3))

    async def at_once(tx: Any, items: Any, work: Any) -> Any:
        return [await work(items)], []

    async def broken(*_: Any) -> Any:
        raise ValueError("a row that nobody foresaw")

    monkeypatch.setattr(module, "each_alone", at_once)
    monkeypatch.setattr(JudgingAgain, "_base", broken)
    with pytest.raises(ValueError, match="nobody foresaw"):
        await swept(rig, again)
