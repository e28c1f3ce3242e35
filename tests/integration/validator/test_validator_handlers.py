"""What validator stores and publishes, on the real PostgreSQL."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event as sa_event
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.validator import handlers, store
from shared.consuming.batch import Batch
from shared.contract.events import FigureField, Form, SumRule
from tests.integration.validator.rig import FORM, GOOD, NOW, Rig, event_of, regime, submission

BAD: dict[str, str | None] = {"T": "4", "A": "1", "B": "2", "ữ/~": "x"}


async def test_verdict_findings_and_event_are_stored_together(rig: Rig) -> None:
    await rig.keep(regime())
    good, bad = submission(), submission("H99.03", figures=BAD)
    await rig.judge(good, bad)
    accepted, returned = await rig.published()
    assert (accepted.submission_id, accepted.outcome, accepted.errors) == (good.submission_id, "accepted", 0)
    assert (accepted.required_items, accepted.present_items) == (3, 3)
    assert (returned.outcome, returned.errors, returned.warnings) == ("returned", 2, 0)
    assert (returned.decided_at, returned.received_at, returned.officer_id) == (NOW, bad.received_at, "o1")
    assert returned.verdict_id.version == 7
    rows = await rig.rows("SELECT * FROM verdict ORDER BY verdict_id")
    for row, verdict in zip(rows, (accepted, returned), strict=True):
        assert row.pop("any_nonzero") is True
        assert row.pop("figures") == (GOOD if verdict.outcome == "accepted" else None)
        assert (row.pop("compared_with"), row.pop("looked_up"), row.pop("resembles")) == ([], [], [])
        assert row == verdict.model_dump(exclude={"findings", "compared_with", "looked_up"})
    findings = await rig.rows("SELECT * FROM finding ORDER BY verdict_id, position")
    assert [
        {name: value for name, value in row.items() if name not in ("verdict_id", "position")} for row in findings
    ] == [finding.model_dump() for finding in returned.findings]
    assert [(row["position"], row["code"], row["path"]) for row in findings] == [
        (0, "S01", "/figures/ữ~1~0"),
        (1, "K01", "/figures/T"),
    ]


async def test_nothing_remains_of_a_batch_whose_transaction_fails(rig: Rig) -> None:
    await rig.keep(regime())
    async with rig.rolled_back() as tx:
        await handlers.record(await rig.judged(submission(figures=BAD)), tx, clock=rig.clock)
    counts = await rig.rows(
        "SELECT (SELECT count(*) FROM verdict) AS verdicts, (SELECT count(*) FROM finding) AS findings,"
        " (SELECT count(*) FROM outbox) AS events"
    )
    assert counts == [{"verdicts": 0, "findings": 0, "events": 0}]


async def test_a_submission_is_decided_once_however_often_it_comes(rig: Rig) -> None:
    await rig.keep(regime())
    body = submission(figures=BAD)
    await rig.judge(body, body)
    first = await rig.published()
    rig.clock.advance(days=1)
    await rig.judge(body)
    assert len(first) == 1
    assert await rig.published() == first
    assert len(await rig.rows("SELECT 1 FROM verdict")) == 1
    assert len(await rig.rows("SELECT 1 FROM finding")) == 2


async def test_negative_control_without_the_unique_keys_it_would_be_decided_twice(rig: Rig) -> None:
    """Shows what `verdict_once_per_submission` protects from: with keys that hold nothing back, two verdicts."""
    await rig.keep(regime())
    async with rig.database.transaction() as tx:
        for name in ("verdict_once_per_submission", "verdict_once_per_version"):
            await tx.execute(text(f"ALTER TABLE verdict DROP CONSTRAINT {name}"))
    without = re.sub(r"ON CONFLICT \(submission_id\) DO NOTHING", "", store._INSERT_VERDICTS.text)
    body = submission()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_INSERT_VERDICTS", text(without))
        await rig.judge(body)
        await rig.judge(body)
    assert len(await rig.published()) == 2


async def test_versions_of_an_obligation_each_keep_their_verdict(rig: Rig) -> None:
    await rig.keep(regime())
    await rig.judge(submission(version=1, figures=BAD), submission(version=2))
    await rig.judge(submission(version=3, figures={}, nil=True))
    rows = await rig.rows("SELECT version, outcome, nil FROM verdict ORDER BY version")
    assert rows == [
        {"version": 1, "outcome": "returned", "nil": False},
        {"version": 2, "outcome": "accepted", "nil": False},
        {"version": 3, "outcome": "accepted", "nil": True},
    ]


async def test_another_submission_under_the_same_version_is_buried_and_its_neighbours_are_judged(rig: Rig) -> None:
    await rig.keep(regime())
    await rig.judge(submission(version=1))
    neighbours = [submission(f"H99.{i}") for i in range(10, 15)]
    impostor = submission(version=1)
    outcome = await rig.consume(
        "submissions", [event_of(body) for body in (*neighbours[:2], impostor, *neighbours[2:])]
    )
    assert (sum(outcome.applied.values()), sum(outcome.rejected.values())) == (5, 1)
    (letter,) = await rig.rows("SELECT error_class, error_text FROM dead_letter")
    assert "verdict_once_per_version" in letter["error_text"]
    judged = {verdict.submission_id for verdict in await rig.published()}
    assert {body.submission_id for body in neighbours} <= judged
    assert impostor.submission_id not in judged


async def test_submissions_wait_for_their_regime_version_in_order_and_are_then_judged(rig: Rig) -> None:
    first, second, other = submission(version=1), submission(version=2), submission("H99.03")
    later = submission(version=3, regime_version=2)
    await rig.keep(regime(regime_version=2))
    outcome = await rig.consume("submissions", [event_of(body) for body in (first, second, other, later)])
    assert sum(outcome.deferred.values()) == 4
    awaited = await rig.rows("SELECT DISTINCT awaits FROM deferred_events")
    assert {row["awaits"] for row in awaited} == {"regime/BC/1"}
    assert await rig.release() == 0
    assert await rig.published() == []
    await rig.consume("registry", [event_of(regime())])
    assert await rig.release() == 4
    by_key = [verdict for verdict in await rig.published() if verdict.obligation == first.obligation]
    assert [(verdict.version, verdict.regime_version) for verdict in by_key] == [(1, 1), (2, 1), (3, 2)]
    assert await rig.rows("SELECT 1 FROM deferred_events") == []


async def test_a_published_form_never_changes(rig: Rig) -> None:
    await rig.keep(regime(version=1))
    await rig.judge(submission())
    changed = regime(version=2, form=FORM.model_copy(update={"nil_allowed": False}))
    batch = await rig.keep(changed, regime(version=3))
    (why,) = batch.rejected.values()
    assert "never changes" in why
    assert await rig.rows("SELECT version, form ->> 'nil_allowed' AS nil_allowed FROM regime") == [
        {"version": 3, "nil_allowed": "true"}
    ]
    await rig.judge(submission(version=2, figures={}, nil=True))
    assert [verdict.outcome for verdict in await rig.published()] == ["accepted", "accepted"]


async def test_an_older_regime_event_never_overwrites_a_newer_one(rig: Rig) -> None:
    await rig.keep(regime(version=5))
    await rig.keep(regime(version=4), regime(version=4))
    assert await rig.rows("SELECT version FROM regime") == [{"version": 5}]


async def test_the_statement_itself_keeps_the_form_even_where_the_check_is_passed_by(rig: Rig) -> None:
    """Two instances may load before either writes: the row, not the check, is the last word."""
    await rig.keep(regime(version=1))
    changed = regime(version=9, form=FORM.model_copy(update={"nil_allowed": False}))
    async with rig.database.transaction() as tx:
        await store.REGIMES.save(tx, [changed])
    assert await rig.rows("SELECT version, form ->> 'nil_allowed' AS nil_allowed FROM regime") == [
        {"version": 9, "nil_allowed": "true"}
    ]


async def test_a_form_that_contradicts_itself_is_refused_with_the_reason(rig: Rig) -> None:
    broken = Form(figures=(FigureField(code="A", label=""),), sums=(SumRule(code="K", total="A", terms=("Z",)),))
    outcome = await rig.consume("registry", [event_of(regime(form=broken)), event_of(regime("GOOD"))])
    assert sum(outcome.rejected.values()) == 1
    (letter,) = await rig.rows("SELECT error_text FROM dead_letter")
    assert "names figures that the form does not have: Z" in letter["error_text"]
    assert await rig.rows("SELECT code FROM regime") == [{"code": "GOOD"}]


async def test_reports_of_a_version_that_cannot_be_judged_by_are_judged_by_the_one_that_replaces_it(rig: Rig) -> None:
    """The wrong version gets past the gate: its reports wait; the replacement releases them, of other regimes none."""
    broken = Form(figures=FORM.figures, sums=(SumRule(code="K", total="T", terms=()),))
    outcome = await rig.consume("registry", [event_of(regime(form=broken)), event_of(regime("OTHER", form=broken))])
    assert sum(outcome.rejected.values()) == 2
    reports = [submission(), submission("H99.03"), submission("H99.04", figures={**GOOD, "T": "4"}),
               submission(code="OTHER")]  # fmt: skip
    await rig.consume("submissions", [event_of(body) for body in reports])
    assert await rig.release() == 0
    # control: a newer version that does not say it replaces the wrong one releases nothing
    await rig.consume("registry", [event_of(regime(regime_version=2))])
    assert await rig.release() == 0
    assert await rig.published() == []
    await rig.consume("registry", [event_of(regime(regime_version=3, replaces=1, replaces_reason="Sai tổng"))])
    assert await rig.release() == 3
    verdicts = {verdict.agency: (verdict.regime_version, verdict.outcome) for verdict in await rig.published()}
    assert verdicts == {"H99.02": (1, "accepted"), "H99.03": (1, "accepted"), "H99.04": (1, "returned")}
    assert [row["awaits"] for row in await rig.rows("SELECT awaits FROM deferred_events")] == ["regime/OTHER/1"]


async def test_a_replacement_counts_for_what_is_not_judged_yet_and_may_be_replaced_in_turn(rig: Rig) -> None:
    await rig.keep(regime())
    await rig.judge(submission())
    strict = Form(figures=(*FORM.figures, FigureField(code="Z", label="")))
    await rig.keep(regime(regime_version=2, form=strict, replaces=1, replaces_reason="Thiếu chỉ tiêu"))
    await rig.judge(submission("H99.03"))
    large = submission("H99.04", narratives={"N": "x" * 20_000})
    await rig.consume("submissions", [event_of(large)])
    await rig.release_alone()
    await rig.keep(regime(regime_version=3, replaces=2, replaces_reason="Nhầm"))
    await rig.judge(submission("H99.05"))
    await rig.judge(submission("H99.06", regime_version=2))
    outcomes = {verdict.agency: verdict.outcome for verdict in await rig.published()}
    assert outcomes == {
        "H99.02": "accepted", "H99.03": "returned", "H99.04": "returned", "H99.05": "accepted", "H99.06": "accepted",
    }  # fmt: skip


async def test_a_form_that_was_rolled_back_is_not_known_afterwards(rig: Rig) -> None:
    async with rig.rolled_back() as tx:
        await handlers.keep_regimes(Batch.of([regime()]), tx)
    batch = await rig.judge(submission())
    assert list(batch.deferred.values()) == ["regime/BC/1"]


async def test_a_batch_costs_one_statement_per_table_whatever_its_size(rig: Rig) -> None:
    await rig.keep(*(regime(f"R{i}") for i in range(20)))
    statements: list[str] = []

    def note(*arguments: Any) -> None:
        statements.append(re.sub(r"\s+", " ", arguments[2]).strip())

    sa_event.listen(rig.database.engine.sync_engine, "before_cursor_execute", note)
    try:
        for expected in (5, 4):  # the second batch finds every form in memory, but asks what has been replaced
            statements.clear()
            await rig.judge(
                *(submission(f"H99.{uuid4()}", code=f"R{i % 20}", figures=BAD if i % 2 else GOOD) for i in range(200))
            )
            assert len(statements) == expected, statements
    finally:
        sa_event.remove(rig.database.engine.sync_engine, "before_cursor_execute", note)
    assert len(await rig.published()) == 400


async def test_texts_that_postgresql_refuses_are_stored_as_escapes(rig: Rig) -> None:
    await rig.keep(regime())
    await rig.judge(submission(figures=GOOD | {"x\x00y": "1\x00"}, narratives={"N": "một\x00hai ba"}))
    (verdict,) = await rig.published()
    assert [finding.code for finding in verdict.findings] == ["S01", "N03"]
    assert verdict.findings[0].path == "/figures/x\\u0000y"


async def test_a_flood_of_faults_is_counted_whole_and_fits_into_a_message(rig: Rig) -> None:
    await rig.keep(regime())
    await rig.judge(submission(figures=GOOD | {f"x{i:05}" + "ế" * 300: "9" * 300 for i in range(5000)}))
    (verdict,) = await rig.published()
    assert (verdict.errors, verdict.findings_truncated) == (5000, True)
    assert len(verdict.encode()) < 900_000


async def test_the_database_refuses_an_accepted_verdict_with_errors(rig: Rig) -> None:
    await rig.keep(regime())
    await rig.judge(submission(figures=BAD))
    with pytest.raises(IntegrityError, match="verdict_accepted_means_no_error"):
        async with rig.database.transaction() as tx:
            await tx.execute(text("UPDATE verdict SET outcome = 'accepted'"))


ZERO: dict[str, str | None] = {"T": "0", "A": "0", "B": "0"}


def _of(period: str, figures: dict[str, str | None], version: int = 1, **others: Any) -> Any:
    key = f"H99.02/BC/{period}"
    return submission(period=period, obligation=key, figures=figures, version=version, **others)


async def _said(rig: Rig) -> list[tuple[str, int, str, list[str]]]:
    return [(v.period, v.version, v.outcome, [f.code for f in v.findings]) for v in await rig.published()]


@pytest.mark.parametrize("together", [False, True])
async def test_zeros_after_figures_are_returned_once_and_believed_when_sent_again(rig: Rig, together: bool) -> None:
    await rig.keep(regime())
    bodies = [_of("2025-M12", GOOD), _of("2026-M02", ZERO), _of("2026-M02", ZERO, 2), _of("2026-M03", ZERO)]
    for batch in [bodies] if together else [[body] for body in bodies]:
        await rig.judge(*batch)
    await rig.judge(*bodies)  # a repetition says nothing new
    assert await _said(rig) == [
        ("2025-M12", 1, "accepted", []),
        ("2026-M02", 1, "returned", ["H01"]),  # January was not reported: December is the nearest
        ("2026-M02", 2, "accepted", ["H01"]),
        ("2026-M03", 1, "accepted", []),  # the period before had none either
    ]


async def test_zeros_are_compared_with_the_accepted_report_before_them_and_no_other(rig: Rig) -> None:
    await rig.keep(regime(), regime("DX"))
    await rig.judge(_of("2026-M01", BAD))  # returned
    await rig.judge(_of("2026-M04", GOOD))  # later
    await rig.judge(submission("H99.03", period="2026-M02", obligation="H99.03/BC/2026-M02"))  # another agency
    await rig.judge(_of("2023-M12", GOOD))  # more than two years ago
    await rig.judge(_of("2026-M03", ZERO))
    await rig.judge(submission(code="DX", period="DX-2026-001", obligation="H99.02/DX/DX-2026-001", figures=ZERO))
    assert [codes for *_, codes in (await _said(rig))[-2:]] == [[], []]
    await rig.judge(_of("2026-M05", ZERO))
    assert (await _said(rig))[-1][2:] == ("returned", ["H01"])
