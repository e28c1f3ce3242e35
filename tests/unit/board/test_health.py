"""What operators see of the services: what each says of itself, and who says nothing, without waiting for it."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from services.board.pages.health import age, health
from services.board.watching import Said, Watch
from shared.runtime.clock import ManualClock

METRICS = """# HELP thongsuot_consumer_lag_events Events
# TYPE thongsuot_consumer_lag_events gauge
thongsuot_consumer_lag_events{group="intake.follow",partition="0",topic="verdicts"} 3.0
thongsuot_consumer_lag_events{group="intake.follow",partition="1",topic="verdicts"} 4.0
thongsuot_consumer_lag_events{group="intake.notices",partition="0",topic="notifications"} NaN
thongsuot_consumer_halted{group="intake.notices"} 1.0
thongsuot_deferred_events{group="intake.follow"} 2.0
thongsuot_deferred_events_oldest_age_seconds{group="intake.follow"} 125.5
thongsuot_open_dead_letters{group="intake.follow"} 1.0
thongsuot_open_dead_letters_oldest_age_seconds{group="intake.follow"} 90000.0
thongsuot_outbox_backlog_rows 7.0
thongsuot_outbox_oldest_age_seconds 61.0
thongsuot_outbox_set_aside_rows 0.0
thongsuot_http_requests_total{route="/v1/me{x}"} 9.0
"""
READY = json.dumps(
    {
        "ready": True,
        "checks": {
            "database": {"ok": True, "detail": "answers"},
            "ledgers": {"ok": True, "detail": "WARNING one can be altered"},
        },
    }
).encode()


def test_what_a_service_says_is_read() -> None:
    found = health([Said("intake", "http://i", READY, METRICS)])
    [intake] = found.instances
    assert (intake.ready, [remark.name for remark in intake.remarks]) == (True, ["ledgers"])
    assert (intake.backlog, intake.backlog_seconds, intake.set_aside) == (7, 61, 0)
    follow, notices = found.groups
    assert (follow.name, follow.lag, follow.deferred, follow.letters) == ("intake.follow", 7, 2, 1)
    assert (notices.name, notices.lag, notices.halted) == ("intake.notices", None, True)
    assert (age(follow.deferred_seconds), age(follow.letters_seconds), age(0.2)) == (
        ("2 phút", "2 min"), ("1 ngày", "1 d"), ("", ""),
    )  # fmt: skip


def test_two_instances_share_the_lag_and_tell_the_same_events_that_wait() -> None:
    found = health([Said("intake", url, READY, METRICS) for url in ("http://i", "http://j")])
    follow = found.groups[0]
    assert (follow.lag, follow.deferred, follow.letters) == (14, 2, 1)


@pytest.mark.parametrize(
    "said",
    [
        Said("intake", "http://i", trouble="no answer within 1 s"),
        Said("intake", "http://i", b"<html>", ""),
        Said("intake", "http://i", READY, "thongsuot_consumer_lag_events{group= 3"),
        Said("intake", "http://i", READY, 'thongsuot_consumer_lag_events{group="g"} +Inf\n'),
        Said("intake", "http://i", READY, 'thongsuot_deferred_events_oldest_age_seconds{group="g"} +Inf\n'),
    ],
)
def test_what_cannot_be_read_is_told_as_no_answer(said: Said) -> None:
    [intake] = health([said]).instances
    assert (intake.ready, bool(intake.trouble)) == (None, True)
    assert (intake.backlog, intake.backlog_seconds, intake.set_aside) == (None, 0, None)


def test_a_service_that_counts_no_outbox_has_none() -> None:
    [intake] = health([Said("intake", "http://i", READY, "")]).instances
    assert (intake.ready, intake.backlog, intake.backlog_seconds) == (True, None, 0)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (86_400, ("1 ngày", "1 d")), (86_399, ("23 giờ", "23 h")), (3_600, ("1 giờ", "1 h")),
        (3_599, ("59 phút", "59 min")), (60, ("1 phút", "1 min")), (59, ("59 giây", "59 s")), (1, ("1 giây", "1 s")),
    ],
)  # fmt: skip
def test_an_age_is_told_in_its_largest_unit(seconds: float, said: tuple[str, str]) -> None:
    assert age(seconds) == said


def test_what_is_not_counted_yet_spoils_no_page() -> None:
    nothing = 'thongsuot_deferred_events{group="g"} NaN\nthongsuot_outbox_oldest_age_seconds NaN\n'
    found = health([Said("intake", "http://i", READY, nothing)])
    assert (found.instances[0].ready, found.groups[0].deferred) == (True, 0)
    assert age(found.instances[0].backlog_seconds) == ("", "")


class Services:
    """Answers as services do; one of them hangs."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.never = asyncio.Event()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        if request.url.host == "hangs":
            await self.never.wait()
        if request.url.host == "refuses":
            raise httpx.ConnectError("refused")
        return httpx.Response(503, content=READY if request.url.path == "/readyz" else METRICS.encode())


def watch_of(services: Services, *hosts: str, deadline_seconds: float, fresh_seconds: float = 3600) -> Watch:
    options: dict[str, Any] = {"deadline_seconds": deadline_seconds, "fresh_seconds": fresh_seconds}
    clock, transport = ManualClock(datetime(2026, 10, 22, tzinfo=UTC)), httpx.MockTransport(services)
    return Watch({host: [f"http://{host}"] for host in hosts}, clock, transport=transport, **options)


async def test_a_service_that_hangs_is_waited_for_until_the_deadline_alone() -> None:
    watch = watch_of(Services(), "hangs", deadline_seconds=0.05)
    async with asyncio.timeout(30):  # without the deadline it would hang
        [said] = (await watch.look()).said
    assert (said.readiness, said.trouble) == (b"", "no answer within 0.05 s")


async def test_many_who_look_at_once_cost_one_look() -> None:
    services = Services()
    watch = watch_of(services, "well", "refuses", deadline_seconds=60)
    looks = await asyncio.gather(watch.look(), watch.look(), watch.look())
    assert looks[0] is looks[1] is looks[2] is await watch.look()
    assert services.asked.count("http://well/metrics") == 1
    said = [(one.service, bool(one.readiness), one.trouble) for one in looks[0].said]
    assert said == [("well", True, ""), ("refuses", False, "ConnectError: refused")]


async def test_an_old_look_is_made_again() -> None:
    services = Services()
    watch = watch_of(services, "well", deadline_seconds=60, fresh_seconds=-1)
    assert await watch.look() is not await watch.look()
    assert services.asked.count("http://well/metrics") == 2


@pytest.mark.parametrize(
    "address", ["http://[::1", "http://10.0.0.6:port", "http://\x00", "no-address", "http://" + "a" * 70000]
)
async def test_an_address_that_is_none_is_told_and_the_others_are_asked(address: str) -> None:
    watch = Watch(
        {"wrong": [address], "well": ["http://well"]},
        ManualClock(datetime(2026, 10, 22, tzinfo=UTC)),
        transport=httpx.MockTransport(Services()),
        deadline_seconds=60,
    )
    wrong, well = (await watch.look()).said
    assert (bool(wrong.trouble or health([wrong]).instances[0].ready), bool(well.readiness)) == (True, True)
