"""Reference tables on a real database: the version of the period, waiting for a table, the process beside."""

from __future__ import annotations

from typing import Any

from services.validator.judging import Budget
from shared.contract.events import Form, ReferenceTablePublished, SubmissionReceived
from tests.integration.validator.rig import FORM, Rig, event_of, regime, submission

LIMITED = {
    "id": "QT-01", "tier": "validity", "severity": "error", "assert": '[T] <= LOOKUP("HAN-MUC"; "T"; "TOI_DA")',
    "message": "Quá {expected}.", "message_en": "Over {expected}.", "fix": "Sửa.", "fix_en": "Correct it.",
    "tests": [{"figures": {"T": 1}, "references": {"HAN-MUC": [{"MA": "T", "TOI_DA": 5}]}}],
}  # fmt: skip
RULED = Form.model_validate(FORM.model_dump(mode="json") | {"rules": [LIMITED]})


def limits(version: int, since: str, most: str, **others: Any) -> ReferenceTablePublished:
    columns = [{"code": "MA", "label": "Mã"}, {"code": "TOI_DA", "label": "Tối đa", "type": "number"}]
    return ReferenceTablePublished.model_validate(
        {"code": "HAN-MUC", "table_version": version, "name": "Hạn mức", "effective_from": since, "columns": columns,
         "rows": [["T", most]], "version": 1, **others}
    )  # fmt: skip


def of_period(period: str, agency: str = "H99.02") -> SubmissionReceived:
    return submission(agency, period=period, obligation=f"{agency}/BC/{period}")


async def said(rig: Rig) -> dict[str, tuple[list[str], tuple[str, ...] | None]]:
    return {
        verdict.period: ([finding.message for finding in verdict.findings], verdict.looked_up)
        for verdict in await rig.published()
    }


async def test_a_report_is_judged_by_the_version_in_force_at_its_periods_end(rig: Rig) -> None:
    events = [regime(form=RULED), limits(1, "2026-01-01", "2"), limits(2, "2026-03-31", "3"),
              limits(3, "2026-05-01", "1"), limits(4, "2026-05-01", "9")]  # fmt: skip
    await rig.consume("registry", [event_of(body) for body in events])
    for period in ("2025-M12", "2026-M02", "2026-M03", "2026-M05"):
        await rig.consume("submissions", [event_of(of_period(period))])
    verdicts = await said(rig)
    assert verdicts["2026-M02"] == (["Quá 2."], ("HAN-MUC/1",))
    assert verdicts["2026-M03"] == ([], ("HAN-MUC/2",))
    assert verdicts["2026-M05"] == ([], ("HAN-MUC/4",))  # of two of one day the higher counts
    assert "Không có danh mục HAN-MUC" in verdicts["2025-M12"][0][0]  # none was in force yet
    rows = await rig.rows("SELECT looked_up FROM verdict WHERE period = '2026-M02'")
    assert rows == [{"looked_up": ["HAN-MUC/1"]}]


async def test_reports_wait_for_a_table_that_has_not_come_yet(rig: Rig) -> None:
    await rig.consume("registry", [event_of(regime(form=RULED))])
    outcome = await rig.consume("submissions", [event_of(of_period("2026-M03"))])
    assert sum(outcome.deferred.values()) == 1
    assert await rig.release() == 0
    await rig.consume("registry", [event_of(limits(1, "2026-01-01", "2"))])
    assert await rig.release() == 1
    assert (await said(rig))["2026-M03"] == (["Quá 2."], ("HAN-MUC/1",))


async def test_a_version_that_is_kept_does_not_change_and_a_repeated_one_does_no_harm(rig: Rig) -> None:
    first = limits(1, "2026-01-01", "2")
    outcome = await rig.consume("registry", [event_of(first), event_of(first), event_of(limits(1, "2026-01-01", "3"))])
    (letter,) = outcome.letters
    assert "never changes" in letter.error_text
    rows = await rig.rows("SELECT version, checksum, rows FROM reference_table")
    assert rows == [{"version": 1, "checksum": first.checksum, "rows": [["T", "2"]]}]


async def test_the_process_beside_looks_up_too(rig: Rig) -> None:
    rig = Rig(rig.database, Budget(inline_bytes=0))
    await rig.consume("registry", [event_of(regime(form=RULED)), event_of(limits(1, "2026-01-01", "2"))])
    event = event_of(of_period("2026-M03"))
    try:
        for _ in range(2):  # its table is sent once
            tried = await rig.judging.try_one(event, rig.database.read_transaction)
            assert tried.apart
            judgement = tried.prepared.values[event.id]
            assert [finding.message for finding in judgement.findings] == ["Quá 2."]
            assert judgement.references.versions == ("HAN-MUC/1",)
    finally:
        await rig.judging.stop()
