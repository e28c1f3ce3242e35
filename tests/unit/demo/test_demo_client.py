"""An agency's software keeps one idempotency key through its retries and remembers every receipt."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime

import httpx
import pytest

from deploy.demo import client
from deploy.demo.__main__ import faults
from deploy.demo.client import Concurrency, GaveUp, Ledger, Portal
from deploy.demo.counting import Count
from deploy.demo.people import Duty
from deploy.demo.reports import Report
from shared.runtime.clock import LOCAL_ZONE

DUTY = Duty("H99.101/X/2026-M01", "X", "2026-M01", datetime(2026, 1, 19, 17, tzinfo=LOCAL_ZONE), date(2026, 1, 14))
RECEIPT = {"submission_id": "s1", "obligation": DUTY.obligation, "version": 1, "status": "received"}
REPORT = Report(figures={"A01": "12.50", "A02": None}, narratives={"N01": "chữ"})

Answer = Callable[[httpx.Request], httpx.Response]


def _portal(answer: Answer) -> tuple[Portal, Ledger]:
    ledger = Ledger()
    http = httpx.AsyncClient(base_url="http://intake", transport=httpx.MockTransport(answer))
    return Portal(http, "key", Concurrency(), ledger), ledger


async def test_retries_keep_the_idempotency_key_until_a_receipt_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LONGEST_PAUSE_SECONDS", 0.01)
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Idempotency-Key"])
        assert request.headers["Authorization"] == "Bearer key"
        if len(seen) == 1:
            raise httpx.ReadError("the answer is lost", request=request)
        if len(seen) == 2:
            return httpx.Response(503, headers={"Retry-After": "0"})
        body = json.loads(request.content)
        assert body["figures"] == {"A01": "12.50", "A02": None}
        return httpx.Response(201, json=RECEIPT)

    portal, ledger = _portal(answer)
    receipt = await portal.submit(DUTY, "DM1", REPORT)
    assert receipt is not None
    assert len(set(seen)) == 1
    assert len(seen) == 3
    assert list(ledger.receipts) == ["s1"]
    assert ledger.retries == 2


async def test_a_refusal_is_counted_and_not_tried_again() -> None:
    calls: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        return httpx.Response(422, json={"type": "https://thongsuot.example/problems/invalid-report"})

    portal, ledger = _portal(answer)
    assert await portal.submit(DUTY, "DM1", REPORT) is None
    assert len(calls) == 1
    assert ledger.refusals == {"422 invalid-report": 1}
    assert ledger.receipts == {}


async def test_a_nil_report_carries_neither_figures_nor_narratives() -> None:
    bodies: list[dict[str, object]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(201, json=RECEIPT)

    portal, _ = _portal(answer)
    await portal.submit(DUTY, "DM1", Report(nil=True))
    assert bodies[0].pop("nil_reason")
    assert bodies == [{"regime": "X", "period": "2026-M01", "officer": "DM1", "nil": True}]


async def test_an_agency_that_is_never_answered_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(client, "LONGEST_PAUSE_SECONDS", 0.05)
    portal, ledger = _portal(lambda request: httpx.Response(503))
    with pytest.raises(GaveUp):
        await portal.submit(DUTY, "DM1", REPORT)
    assert ledger.receipts == {}


async def test_duties_are_read_page_by_page() -> None:
    def item(number: int) -> dict[str, object]:
        return {"obligation": f"o{number}", "regime": "X", "period": "2026-M01", "cutoff_to": None,
                "deadline": "2026-01-19T17:00:00+07:00"}  # fmt: skip

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("after") == "next":
            return httpx.Response(200, json={"items": [item(2)], "next": None})
        return httpx.Response(200, json={"items": [item(1)], "next": "next"})

    portal, _ = _portal(answer)
    assert [duty.obligation for duty in await portal.duties()] == ["o1", "o2"]


async def test_the_verdict_is_read_until_it_is_there() -> None:
    answers = iter(["received", "received", "returned"])

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"status": next(answers), "findings": [{"path": "/figures/A01"}]})

    portal, _ = _portal(answer)
    assert (await portal.verdict("s1"))["status"] == "returned"


def _summary(**changes: object) -> dict[str, object]:
    clean: dict[str, object] = {
        "accepted": 10, "lost_receipts": 0, "dead_letters": 0, "outbox": 0, "reconcile_differences": 0,
        "backlog": {"lag": 0, "mails": 0}, "clients": {"gave_up": 0}, "mails_lost": 0, "mails_doubled": 0,
        "mails_unsettled": {}, "events_unlike_archive": {},
    }  # fmt: skip
    return clean | changes


def test_a_clean_run_has_no_fault() -> None:
    assert faults(_summary(), Count(), 0) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"accepted": 0},
        {"lost_receipts": 1},
        {"dead_letters": 1},
        {"outbox": 1},
        {"reconcile_differences": 1},
        {"backlog": {"lag": 1, "mails": 0}},
        {"clients": {"gave_up": 1}},
        {"mails_lost": 1},
        {"mails_doubled": 1},
        {"mails_unsettled": {"failed": 1}},
        {"mails_unsettled": {"unknown": 1}},
        {"events_unlike_archive": {"notifications": {"missing": 1, "unknown": 0}}},
        {"events_unlike_archive": {"notifications": {"missing": 0, "unknown": 1}}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_each_loss_makes_the_run_a_failure(changes: dict[str, object]) -> None:
    assert len(faults(_summary(**changes), Count(), 0)) == 1


def test_a_reconcile_that_could_not_compare_is_a_failure() -> None:
    assert faults(_summary(), Count(), 2)


def test_a_mail_that_the_ledger_does_not_know_is_a_failure() -> None:
    assert faults(_summary(), Count(mails=Counter({"?": 1})), 0)
