"""A report's life after it was sent, on the whole stack: each step to standing, score and notice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from shared.runtime.clock import business_clock, scaled_specification
from tests.e2e.rig import COMMUNE, DEPARTMENT, HTTP, NOW, PERIOD, REGIME, REQUEST, Province, eventually
from tests.stack import Infra

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

NARRATIVE = {"N": "Kết quả trong tháng đạt kế hoạch đề ra."}


class Life(Province):
    """The small province, whose agencies take steps with their reports."""

    def step(self, key: str, path: str, **said: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": os.urandom(8).hex()}
        return HTTP.post(f"{self.stack.url('intake')}/v1/{path}", headers=headers, json=said)

    def standing(self, key: str) -> dict[str, Any]:
        answer = self.operator("scoring", f"/v1/obligations/{key}")
        return dict(answer.json()) if answer.status_code == 200 else {}

    def stands(self, key: str, **wanted: Any) -> dict[str, Any]:
        """The obligation at scoring once it is as wanted."""

        def look() -> dict[str, Any] | None:
            shown = self.standing(key)
            return shown if all(shown.get(name) == value for name, value in wanted.items()) else None

        return eventually(look, f"{key}: {wanted}, is {self.standing(key)}")

    def accepted(self, agency: str, key: str, **report: Any) -> str:
        """Post a report and wait until validation has accepted it."""
        answer = self.post(agency, key, **report)
        assert answer.status_code == 201, answer.text
        name = str(answer.json()["submission_id"])
        eventually(
            lambda: self.get(agency, f"/v1/submissions/{name}")["status"] == "accepted", "validation has accepted it"
        )
        return name


@pytest.fixture(scope="module")
def life(infra: Infra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    clock = scaled_specification(datetime.fromisoformat(NOW), 1)
    with infra.stack(tmp_path_factory.mktemp("life"), env={"BUSINESS_CLOCK": clock}) as stack:
        yield Life(stack, tmp_path_factory.mktemp("registry"), business_clock(clock))


def test_a_report_that_is_withdrawn_stands_no_more_and_another_takes_its_place(life: Life) -> None:
    key = f"{DEPARTMENT}/{REGIME}/{PERIOD}"
    figures = {"A": 95, "A1": 90, "A2": 5, "B": "0.10"}
    name = life.accepted(DEPARTMENT, "rut-1", figures=figures, narratives=NARRATIVE)
    assert float(life.stands(key, standing="fulfilled")["score"]) == 100
    withdrawn = life.step(life.keys[DEPARTMENT], f"submissions/{name}/withdrawal", reason="Gửi nhầm số liệu")
    assert withdrawn.status_code == 201
    gone = life.stands(key, standing="nothing_sent")
    assert gone["score"] is None
    life.accepted(DEPARTMENT, "rut-2", figures=figures, narratives=NARRATIVE)
    assert float(life.stands(key, standing="fulfilled")["score"]) == 100
    shown = life.get(DEPARTMENT, f"/v1/submissions/{name}")
    assert shown["lifecycle"]["state"] == "withdrawn"
    timeline = life.get(DEPARTMENT, f"/v1/submissions/{name}/timeline")["steps"]
    assert [step["taken"]["kind"] for step in timeline if step["step"] == "step"] == ["withdrawn"]
    assert any("cơ quan rút báo cáo" in step["text"] for step in timeline if step["step"] == "score_line")


def test_an_extension_that_is_asked_for_moves_nothing_until_it_is_granted(life: Life) -> None:
    life.request(seconds=3600)
    key = f"{COMMUNE}/THIEN-TAI/{REQUEST}"
    eventually(lambda: life.standing(key), "the request is owed")
    eventually(
        lambda: any(row["obligation"] == key for row in life.get(COMMUNE, "/v1/obligations")["items"]), "and shown"
    )
    before = life.standing(key)["deadline"]
    until = (datetime.fromisoformat(before) + timedelta(days=2)).isoformat()
    path = f"obligations/THIEN-TAI/{REQUEST}/extensions"
    asked = life.step(life.keys[COMMUNE], path, reason="Mất điện toàn xã", until=until)
    assert (asked.status_code, asked.json()["state"]) == (201, "asked"), asked.text
    decision = f"extensions/{asked.json()['step_id']}/decision"
    assert life.step(life.keys[COMMUNE], decision, decision="grant", reason="x").status_code == 403
    assert life.step(life.keys[COMMUNE], path, reason="x", until=until).status_code == 409
    assert life.standing(key)["deadline"] == before
    shown = life.get(COMMUNE, f"/v1/obligations/THIEN-TAI/{REQUEST}")
    assert [step["kind"] for step in shown["steps"]] == ["extension_requested"]


def test_all_stores_agree_in_the_end(life: Life) -> None:
    life.agree()
