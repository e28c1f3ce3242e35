"""A commune merges into a department in the middle of a period: on the whole stack, what it owed is owed once.

The registry is loaded as an operator loads it; the heir reports with its own key; then the deadlines pass.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deploy.local.calls import call
from shared.runtime.clock import ClockLeader
from tests.e2e import plain_exports
from tests.e2e.rig import COMMUNE, DEPARTMENT, NOW, PERIOD, REGIME, REQUEST, Province, eventually
from tests.second_scorer import agreement
from tests.stack import Infra

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ADHOC = "THIEN-TAI"
OF_COMMUNE, OF_HEIR = f"{COMMUNE}/{ADHOC}/{REQUEST}", f"{DEPARTMENT}/{ADHOC}/{REQUEST}"
SAME_REPORT = f"{COMMUNE}/{REGIME}/{PERIOD}"  # the heir owes one of these itself
SILENT = "H99.92"
MERGER = f"""
agencies:
  - code: {COMMUNE}
    name: Xã An Bình
    kind: commune
    parent: H99
    opened_on: 2025-07-01
    closed_on: 2026-03-17
    successors: [{DEPARTMENT}]
    open_obligations: transfer
"""
NEIGHBOUR = f"""
agencies:
  - {{code: {SILENT}, name: Xã An Lạc, kind: commune, parent: H99, opened_on: 2025-07-01}}
"""
#: behind every deadline here, the heir's notice included
AFTERWARDS = datetime.fromisoformat("2026-03-26T09:00:00+07:00")
A_DAY_SECONDS = 86_400
NARRATIVE = {"N": "Kết quả trong tháng đạt kế hoạch đề ra."}


@pytest.fixture(scope="module")
def leader(tmp_path_factory: pytest.TempPathFactory) -> ClockLeader:
    """Business time, which stands at NOW until the test leads it on."""
    return ClockLeader(tmp_path_factory.mktemp("clock") / "business", datetime.fromisoformat(NOW))


@pytest.fixture(scope="module")
def province(infra: Infra, leader: ClockLeader, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Province]:
    with infra.stack(tmp_path_factory.mktemp("merger"), env={"BUSINESS_CLOCK": leader.specification}) as stack:
        yield Province(stack, tmp_path_factory.mktemp("registry"), leader.clock)


def load(province: Province, name: str, text: str) -> None:
    (province.folder / name).write_text(text)
    province.intake("registry", "apply", str(province.folder), "--why", "a test")


def owed_by(province: Province, agency: str) -> set[str]:
    """What the agency sees that it owes."""
    return {item["obligation"] for item in province.get(agency, "/v1/obligations")["items"] if item["owed"]}


def at_scoring(province: Province, obligation: str) -> dict[str, Any]:
    shown: dict[str, Any] = province.operator("scoring", f"/v1/obligations/{obligation}").json()
    return shown


def test_what_is_open_goes_to_the_successor_which_reports_it(province: Province, leader: ClockLeader) -> None:
    load(province, "agencies-more.yaml", NEIGHBOUR)
    province.request(seconds=2 * A_DAY_SECONDS)  # of the commune alone
    eventually(lambda: {OF_COMMUNE, SAME_REPORT} <= owed_by(province, COMMUNE), "the commune owes two reports")
    assert OF_HEIR not in owed_by(province, DEPARTMENT)

    agencies = (province.folder / "agencies.yaml").read_text()
    kept = [line for line in agencies.splitlines() if COMMUNE not in line]
    load(province, "agencies.yaml", "\n".join([*kept, *MERGER.strip().splitlines()[1:]]) + "\n")
    eventually(lambda: OF_HEIR in owed_by(province, DEPARTMENT), "the successor owes the request")
    assert not owed_by(province, COMMUNE)
    got = province.get(DEPARTMENT, f"/v1/obligations/{ADHOC}/{REQUEST}")
    assert got["transferred_from"] == [COMMUNE]
    assert at_scoring(province, OF_COMMUNE)["owed"] is False

    requested = province.post(DEPARTMENT, "for-the-commune", regime=ADHOC, period=REQUEST, figures={"N1": 3})
    assert requested.status_code == 201, requested.text
    figures = {"A": 95, "A1": 90, "A2": 5, "B": "0.10"}
    both = province.post(DEPARTMENT, "for-both", figures=figures, narratives=NARRATIVE)
    assert both.status_code == 201, both.text
    for obligation in (OF_HEIR, f"{DEPARTMENT}/{REGIME}/{PERIOD}"):

        def fulfilled(obligation: str = obligation) -> bool:
            return bool(at_scoring(province, obligation)["standing"] == "fulfilled")

        eventually(fulfilled, f"{obligation} is fulfilled")
        assert Decimal(at_scoring(province, obligation)["score"]) == 100


def test_when_the_deadlines_have_passed_nobody_of_the_merger_is_called_overdue(
    province: Province, leader: ClockLeader
) -> None:
    """The silent neighbour is: so deadlines have been judged."""
    leader.lead(rate=A_DAY_SECONDS, until=AFTERWARDS)
    eventually(lambda: at_scoring(province, f"{SILENT}/{REGIME}/{PERIOD}")["overdue"], "the silent commune is overdue")
    eventually(lambda: leader.clock.now() >= AFTERWARDS, "the deadlines have passed")
    for obligation in (OF_COMMUNE, SAME_REPORT):
        shown = at_scoring(province, obligation)
        assert (shown["owed"], shown["overdue"], shown["score"]) == (False, False, None)
    for address in ("sen@anbinh.example", "lua@anbinh.example"):
        assert not [mail for mail in province.mails_to(address) if "quá hạn" in (mail.subject + mail.text).lower()]
    eventually(
        lambda: any("chịu trách nhiệm" in mail.subject for mail in province.mails_to("hanh@sonoivu.example")),
        "the successor's officer is told that reports name her",
    )


def test_the_stores_agree_about_the_merger(province: Province) -> None:
    province.agree()


def test_another_scorer_says_the_same_of_the_merger(province: Province, tmp_path: Path) -> None:
    """And without successors it does not: the control."""
    asyncio.run(plain_exports.write(province.stack, tmp_path))
    records = [json.loads(line) for line in (tmp_path / "agencies.jsonl").read_text("utf-8").splitlines()]
    closing = [record | {"known_at": NOW} if record.get("closed_on") else record for record in records]

    def differences(agencies: list[Any]) -> list[str]:
        (tmp_path / "agencies.jsonl").write_text("".join(json.dumps(record) + "\n" for record in agencies), "utf-8")
        return list(agreement.differences(tmp_path, AFTERWARDS))

    assert differences(closing) == []
    assert any(said.startswith(OF_HEIR) for said in differences([record | {"successors": []} for record in closing]))


@pytest.mark.whole
@pytest.mark.parametrize(
    ("service", "spoil"),
    [
        ("intake", f"UPDATE standings SET owed = true WHERE obligation = '{OF_COMMUNE}'"),
        ("scoring", f"DELETE FROM obligations WHERE obligation = '{OF_HEIR}'"),
    ],
    ids=["owed-twice", "fallen-between"],
)
def test_the_control_a_report_owed_twice_or_by_nobody_is_a_difference(
    province: Province, service: str, spoil: str
) -> None:
    async def apply() -> None:
        connection = await asyncpg.connect(province.stack.database_url(service), timeout=20)
        try:
            await connection.execute(spoil)
        finally:
            await connection.close()

    call(apply)
    code, output = province.reconcile()
    assert code == 1, output
    assert (OF_COMMUNE if service == "intake" else OF_HEIR) in output
