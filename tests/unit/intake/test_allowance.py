"""A key's allowance and its owner's: credit that comes back with time, few requests at once, nobody else's affair."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from shared.web import allowance
from shared.web.allowance import Allowances, Exhausted, KeyAllowances, Meter, Metered, Payer


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    moment = [100.0]
    monkeypatch.setattr(allowance, "monotonic_seconds", lambda: moment[0])
    return moment


def allowances(**others: Any) -> Allowances:
    settings: dict[str, Any] = {"sends_at_once": 2, "reads_at_once": 1, "waiting": 2, "patience_seconds": 5, **others}
    return Allowances(100, 1000, policy="key", **settings)


async def spend(of: Allowances, agency: str, milliseconds: float) -> None:
    of.leave(*await of.enter(agency), milliseconds)


async def test_a_burst_is_free_then_the_rate_holds_and_a_neighbour_pays_nothing(now: list[float]) -> None:
    of = allowances()
    await spend(of, "loud", 600)
    await spend(of, "loud", 600)
    with pytest.raises(Exhausted) as exhausted:
        await of.enter("loud")
    assert exhausted.value.retry_after_seconds == 2  # 200 in debt at 100 a second
    await spend(of, "quiet", 1)
    now[0] += 1.9
    with pytest.raises(Exhausted):
        await of.enter("loud")
    now[0] += 0.2
    await spend(of, "loud", 1)


async def test_a_debt_is_never_more_than_a_burst(now: list[float]) -> None:
    of = allowances()
    await spend(of, "loud", 1_000_000)
    with pytest.raises(Exhausted) as exhausted:
        await of.enter("loud")
    assert exhausted.value.retry_after_seconds == 10


async def test_an_answer_says_what_is_left_and_when_it_is_full_again(now: list[float]) -> None:
    of = allowances()
    assert of.headers("nobody") is None
    await spend(of, "a", 0)
    assert of.headers("a") == (b'"key";q=1000;qu="milliseconds";w=10', b'"key";r=1000;t=0')
    for milliseconds, seconds, left in (
        (250.5, 0, b'"key";r=749;t=3'),
        (0, 1, b'"key";r=849;t=2'),
        (900, 0, b'"key";r=0;t=11'),  # a debt is nothing left, and takes longer
    ):
        await spend(of, "a", milliseconds)
        now[0] += seconds
        assert (of.headers("a") or (b"", b""))[1] == left


async def request_of(of: KeyAllowances, key: str, milliseconds: float = 0, owner: str = "H99.01") -> dict[bytes, bytes]:
    """What the answer to one request with this key says, after it has cost so much. Raises Exhausted."""
    meter = Meter()
    await meter.charge_to(*of.accounts_of(Payer(owner, key)))
    meter.seconds = milliseconds / 1000
    meter.close()
    return dict(meter.headers())


async def test_one_key_does_not_stop_another_of_its_owner(now: list[float]) -> None:
    of = KeyAllowances(100, 1000, sends_at_once=2, reads_at_once=1, waiting=2)
    await request_of(of, "loud", 1_500)
    with pytest.raises(Exhausted):
        await request_of(of, "loud")
    assert await request_of(of, "other", 249.75) == {
        b"ratelimit-policy": b'"key";q=1000;qu="milliseconds";w=10, "agency";q=2000;qu="milliseconds";w=10',
        b"ratelimit": b'"key";r=750;t=3, "agency";r=249;t=9',
    }
    now[0] += 6
    assert (await request_of(of, "loud"))[b"ratelimit"].startswith(b'"key";r=99;')


async def test_all_keys_of_an_owner_together_have_a_bound_and_other_owners_keep_theirs(now: list[float]) -> None:
    of = KeyAllowances(100, 1000, sends_at_once=2, reads_at_once=1, waiting=0)
    for number in range(3):
        await request_of(of, f"key-{number}", 990)
    with pytest.raises(Exhausted):
        await request_of(of, "key-4")
    await request_of(of, "key-5", owner="H99.02")
    now[0] += 10
    meters = [Meter(reads=True) for _ in range(3)]
    for number, meter in enumerate(meters[:2]):
        await meter.charge_to(*of.accounts_of(Payer("H99.01", f"key-{number}")))
    with pytest.raises(Exhausted):  # two reads of the owner are in work
        await meters[2].charge_to(*of.accounts_of(Payer("H99.01", "key-2")))
    for meter in meters:
        meter.close()
    await request_of(of, "key-2")


async def test_with_one_account_for_all_keys_one_key_stops_another(now: list[float]) -> None:
    """Negative control."""
    of = KeyAllowances(100, 1000, sends_at_once=2, reads_at_once=1, waiting=2)
    await request_of(of, "shared", 1_500)
    with pytest.raises(Exhausted):
        await request_of(of, "shared")


@pytest.mark.parametrize("known", [True, False])
async def test_only_the_answer_to_a_known_agency_tells_of_an_allowance(known: bool) -> None:
    of, sent = allowances(), list[dict[str, Any]]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        meter = Meter.of(scope)
        assert meter is not None
        if known:
            await meter.charge_to(("a", of))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
        await send({"type": "http.response.body", "body": b""})

    async def keep(message: dict[str, Any]) -> None:
        sent.append(message)

    await Metered(app)({"type": "http", "method": "GET"}, _unused, keep)  # type: ignore[arg-type]
    names = [name for name, _ in sent[0]["headers"]]
    assert names == [b"x", *([b"ratelimit-policy", b"ratelimit"] if known else [])]


async def turned(tasks: list[asyncio.Task[Any]]) -> None:
    """Returns once the tasks have come as far as they come."""
    for _ in range(20):
        await asyncio.sleep(0)
    assert tasks is not None


async def test_more_than_may_be_at_once_wait_in_order_and_more_than_may_wait_are_refused() -> None:
    of = allowances()
    first, second = await of.enter("a"), await of.enter("a")
    came: list[str] = []

    async def wait(name: str) -> None:
        await of.enter("a")
        came.append(name)

    waiting = [asyncio.create_task(wait(name)) for name in ("third", "fourth")]
    await turned(waiting)
    with pytest.raises(Exhausted):
        await of.enter("a")
    await spend(of, "b", 1)
    assert came == []
    of.leave(*first, 1)
    await waiting[0]
    assert came == ["third"]
    of.leave(*second, 1)
    await waiting[1]
    assert came == ["third", "fourth"]


async def test_what_an_agency_reads_and_what_it_sends_do_not_wait_for_each_other() -> None:
    of = allowances(waiting=0)
    await of.enter("a", reads=True)
    with pytest.raises(Exhausted):
        await of.enter("a", reads=True)
    await of.enter("a")
    await of.enter("a")
    with pytest.raises(Exhausted):
        await of.enter("a")


async def test_who_waits_too_long_or_goes_away_leaves_no_place_taken() -> None:
    of = allowances(sends_at_once=1, patience_seconds=0.01)
    held = await of.enter("a")
    with pytest.raises(Exhausted):
        await of.enter("a")
    patient = allowances(sends_at_once=1)
    held = await patient.enter("a")
    gone = asyncio.create_task(patient.enter("a"))
    await turned([gone])
    patient.leave(*held, 0)
    gone.cancel()  # its turn has come, and it does not know yet
    with pytest.raises(asyncio.CancelledError):
        await gone
    account, lane = held
    assert account.idle
    assert not lane.waiting
    await spend(patient, "a", 1)


async def test_memory_stays_bounded_and_debts_are_remembered(now: list[float]) -> None:
    of = allowances(max_accounts=10)
    await spend(of, "loud", 5_000)
    for number in range(100):
        await spend(of, f"quiet-{number}", 1)
        now[0] += 0.02
    assert len(of._accounts) <= 10
    with pytest.raises(Exhausted):
        await of.enter("loud")


async def test_a_request_pays_for_its_time_on_the_loop_and_not_for_its_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(allowance, "work_seconds", lambda: clock[0])
    of = allowances()
    waited = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        meter = Meter.of(scope)
        assert meter is not None
        clock[0] += 0.010  # before it is known whose it is
        await meter.charge_to(("a", of))
        meter.body_bytes = 4 * 65_536
        clock[0] += 0.020
        await waited.wait()
        clock[0] += 0.030
        with pytest.raises(ValueError, match="told"):
            await failing()

    async def failing() -> None:
        await asyncio.sleep(0)
        clock[0] += 0.040
        raise ValueError("told")

    scope: dict[str, Any] = {"type": "http", "method": "GET"}
    request = asyncio.create_task(Metered(app)(scope, _unused, _unused))
    await turned([request])
    clock[0] += 5  # others have the loop
    waited.set()
    await request
    assert "thongsuot.meter" not in scope
    account = of._accounts["a"]
    assert account.idle
    assert account.credit == pytest.approx(1000 - 0.25 - 4 - 100, abs=1)


async def test_a_request_that_is_cancelled_or_fails_pays_too() -> None:
    of = allowances()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        meter = Meter.of(scope)
        assert meter is not None
        await meter.charge_to(("a", of))
        await receive()

    async def broken() -> None:
        raise RuntimeError("broken")

    async def endless() -> None:
        await asyncio.Event().wait()

    layer: Callable[..., Awaitable[None]] = Metered(app)
    with pytest.raises(RuntimeError, match="broken"):
        await layer({"type": "http", "method": "GET"}, broken, _unused)
    cancelled = asyncio.ensure_future(layer({"type": "http", "method": "GET"}, endless, _unused))
    for _ in range(5):
        await asyncio.sleep(0)
    assert of._accounts["a"].reads.in_work == 1
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert of._accounts["a"].idle
    assert of._accounts["a"].credit < 1000


async def _unused(*_: Any) -> Any:
    raise AssertionError("not asked for")


async def refusals_within(seconds: float, of: Allowances) -> int:
    """How many a client gets that asks again at once."""
    refused = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                try:
                    await of.enter("loud")
                except Exhausted:
                    refused += 1
                    await asyncio.sleep(0)
    return refused


@pytest.mark.usefixtures("now")
async def test_refusals_are_paced_and_without_the_pause_they_are_not() -> None:
    paced, control = allowances(hold_seconds=0.05), allowances(hold_seconds=0)
    for of in (paced, control):
        await spend(of, "loud", 5_000)
    assert await refusals_within(0.3, paced) <= 6
    assert await refusals_within(0.3, control) > 20


async def test_credit_that_comes_meanwhile_lets_it_in(now: list[float]) -> None:
    of = allowances(hold_seconds=0.05)
    await spend(of, "busy", 1_001)
    held = asyncio.create_task(of.enter("busy"))
    await asyncio.sleep(0)
    assert not held.done()
    now[0] += 0.1
    account, _ = await held
    assert not account.held


async def test_where_many_wait_for_credit_the_refusal_comes_at_once(now: list[float]) -> None:
    of = allowances(hold_seconds=60, waiting=2)
    await spend(of, "loud", 5_000)
    held = [asyncio.create_task(of.enter("loud")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Exhausted):
        async with asyncio.timeout(5):
            await of.enter("loud")
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    assert of._accounts["loud"].idle
