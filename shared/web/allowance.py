"""An agency pays for what its requests cost, in milliseconds of CPU on the event loop, and has few of them at once.

Whatever one agency sends, its neighbours keep the rest of the loop. A request is let in while the agency has credit and
is charged when it ends, refused or not: so it may go into debt by what it has in work, never by more than one burst.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Generator
from contextlib import suppress
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.runtime.clock import monotonic_seconds
from shared.runtime.cpu import work_seconds
from shared.web.errors import TOO_MANY, Problem

#: what a request costs besides its time on the loop: the parser's, the commit's, the relay's and the consumers' time
REQUEST_MILLISECONDS = 0.25
BYTES_PER_MILLISECOND = 65_536

_METER = "thongsuot.meter"


class Exhausted(Exception):
    """The agency has to wait so many whole seconds."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"again after {retry_after_seconds} s")
        self.retry_after_seconds = retry_after_seconds


class Lane:
    """Requests of one agency and one kind: those in work, and those that wait for their turn."""

    __slots__ = ("at_once", "in_work", "waiting")

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self.in_work = 0
        self.waiting: deque[asyncio.Future[None]] = deque()

    def give_turn(self) -> None:
        """One has ended: the next goes on, in the order they came."""
        while self.waiting:
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.in_work -= 1


class Account:
    """One agency's credit in milliseconds as of a moment, and its lanes: what it sends, and what it reads."""

    __slots__ = ("as_of", "credit", "held", "reads", "sends")

    def __init__(self, credit: float, as_of: float, sends: int, reads: int) -> None:
        self.credit = credit
        self.held = 0  # those that wait for credit
        self.as_of = as_of
        self.sends = Lane(sends)
        self.reads = Lane(reads)

    @property
    def idle(self) -> bool:
        return not (self.sends.in_work or self.reads.in_work or self.held)


class Allowances:
    """The accounts of all agencies; those that say nothing (full, idle) are forgotten.

    `sends_at_once` is many, since what is sent mostly waits for its commit; `reads_at_once` is few, since a page is
    made on the loop. Who has no credit is kept waiting for `hold_seconds` before the refusal, which costs the loop as
    much as a small answer: an agency that takes no notice of refusals gets no more of them than that allows.
    """

    def __init__(
        self,
        milliseconds_per_second: float,
        burst_milliseconds: float,
        *,
        sends_at_once: int,
        reads_at_once: int,
        waiting: int,
        patience_seconds: float = 5,
        hold_seconds: float = 0,
        max_accounts: int = 20_000,
    ) -> None:
        self._rate = milliseconds_per_second
        self._burst = burst_milliseconds
        self._sends_at_once = sends_at_once
        self._reads_at_once = reads_at_once
        self._waiting = waiting
        self._patience_seconds = patience_seconds
        self._hold_seconds = hold_seconds
        self._max_accounts = max_accounts
        self._accounts: dict[str, Account] = {}
        window_seconds = math.ceil(burst_milliseconds / milliseconds_per_second)
        self._policy = f'"agency";q={burst_milliseconds:.0f};qu="milliseconds";w={window_seconds}'.encode()

    def headers(self, agency: str) -> tuple[tuple[bytes, bytes], ...]:
        """What an answer says of the allowance: the burst, what is left of it, and the seconds until it is full again.

        Source: draft-ietf-httpapi-ratelimit-headers-10.
        """
        account = self._accounts.get(agency)
        if account is None:
            return ()
        self._refill(account)
        left, full_in = max(0, int(account.credit)), math.ceil((self._burst - account.credit) / self._rate)
        return (b"ratelimit-policy", self._policy), (b"ratelimit", b'"agency";r=%d;t=%d' % (left, full_in))

    async def enter(self, agency: str, *, reads: bool = False) -> tuple[Account, Lane]:
        """The agency's account, with one more request in work: call `leave` at its end. Raises Exhausted."""
        account = self._accounts.get(agency)
        if account is None:
            if len(self._accounts) >= self._max_accounts:
                self._forget()
            account = Account(self._burst, monotonic_seconds(), self._sends_at_once, self._reads_at_once)
            self._accounts[agency] = account
        await self._hold(account)
        self._ask_for_credit(account)
        lane = account.reads if reads else account.sends
        if lane.in_work < lane.at_once:
            lane.in_work += 1
        else:
            await self._wait(account, lane)
        return account, lane

    def leave(self, account: Account, lane: Lane, milliseconds: float) -> None:
        """A request has ended and cost so much; who waits takes its place."""
        self._refill(account)
        account.credit = max(account.credit - milliseconds, -self._burst)
        lane.give_turn()

    async def _hold(self, account: Account) -> None:
        """Wait a little where there is no credit; when many wait already, not at all."""
        self._refill(account)
        if account.credit > 0 or not self._hold_seconds or account.held >= self._waiting:
            return
        account.held += 1
        try:
            await asyncio.sleep(self._hold_seconds)
        finally:
            account.held -= 1

    async def _wait(self, account: Account, lane: Lane) -> None:
        if len(lane.waiting) >= self._waiting:
            raise Exhausted(1)
        turn = asyncio.get_running_loop().create_future()
        lane.waiting.append(turn)
        try:
            async with asyncio.timeout(self._patience_seconds):
                await turn
            self._ask_for_credit(account)
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # the turn had come: the next one has it
                lane.give_turn()
            else:
                with suppress(ValueError):
                    lane.waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise Exhausted(1) from None
            raise

    def _ask_for_credit(self, account: Account) -> None:
        self._refill(account)
        if account.credit <= 0:
            raise Exhausted(max(1, math.ceil(-account.credit / self._rate)))

    def _refill(self, account: Account) -> None:
        now = monotonic_seconds()
        account.credit = min(self._burst, account.credit + (now - account.as_of) * self._rate)
        account.as_of = now

    def _forget(self) -> None:
        """Drop idle accounts that are full again; if that frees too little, idle ones by credit, down to a half."""
        for account in self._accounts.values():
            self._refill(account)
        kept = {name: account for name, account in self._accounts.items() if not account.idle}
        debtors = [item for item in self._accounts.items() if item[1].idle and item[1].credit < self._burst]
        debtors.sort(key=lambda item: item[1].credit)
        self._accounts = {**kept, **dict(debtors[: self._max_accounts // 2])}


class Meter:
    """What one request takes. `charge_to` says whose it is, as soon as that is known."""

    __slots__ = ("_agency", "_allowances", "_place", "_reads", "body_bytes", "seconds")

    def __init__(self, reads: bool = False) -> None:
        self._reads = reads
        self._agency = ""
        self._allowances: Allowances | None = None
        self._place: tuple[Account, Lane] | None = None
        self.body_bytes = 0
        self.seconds = 0.0

    @staticmethod
    def of(scope: Scope) -> Meter | None:
        """The meter of this request, if it is metered."""
        meter = scope.get(_METER)
        return meter if isinstance(meter, Meter) else None

    async def charge_to(self, agency: str, allowances: Allowances) -> None:
        """Wait until the agency may have one more request in work; it pays for all that this one takes.

        Raises Exhausted.
        """
        if self._place is None:
            self._agency, self._allowances = agency, allowances
            self._place = await allowances.enter(agency, reads=self._reads)

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What the answer says of the agency's allowance; nothing where no agency is known."""
        return () if self._allowances is None else self._allowances.headers(self._agency)

    def close(self) -> None:
        """Charge what was taken."""
        if self._place is not None and self._allowances is not None:
            cost = REQUEST_MILLISECONDS + self.body_bytes / BYTES_PER_MILLISECOND + self.seconds * 1000
            self._allowances.leave(*self._place, cost)
            self._place = None


class Metered:
    """The ASGI layer that measures a request's time on the loop, its waiting left out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        meter = scope[_METER] = Meter(reads=scope["method"] != "POST")

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *meter.headers()]
            await send(message)

        try:
            await _Steps(self._app(scope, receive, answer), meter)
        finally:
            del scope[_METER]
            meter.close()


class _Steps:
    """Awaits `work`, and adds the CPU time of each of its steps to the meter.

    Not their length: on a busy machine that would charge an agency for what other processes do meanwhile.
    """

    __slots__ = ("_meter", "_work")

    def __init__(self, work: Awaitable[None], meter: Meter) -> None:
        self._work = work
        self._meter = meter

    def __await__(self) -> Generator[Any, Any, None]:
        steps = self._work.__await__()
        meter = self._meter
        failure: BaseException | None = None
        while True:
            begun = work_seconds()
            try:
                awaited = steps.send(None) if failure is None else steps.throw(failure)
            except StopIteration:
                return
            finally:
                meter.seconds += work_seconds() - begun
            failure = None
            try:
                yield awaited
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as error:
                failure = error


async def pay(request: Request, name: str, allowances: Allowances) -> None:
    """Have the owner of this name pay for the request. Raises 429 where that one has no credit."""
    meter = Meter.of(request.scope)
    if meter is None:
        raise RuntimeError("a route with a key without the layer that measures what it takes")
    try:
        await meter.charge_to(name, allowances)
    except Exhausted as exhausted:
        raise allowance_spent(exhausted.retry_after_seconds) from None


def allowance_spent(retry_after_seconds: int) -> Problem:
    """The agency's requests have cost more than its allowance, or too many of them are in work."""
    return Problem.of(
        TOO_MANY,
        f"Các yêu cầu của cơ quan đã dùng hết thời gian xử lý dành cho cơ quan, hoặc quá nhiều yêu cầu được gửi cùng "
        f"lúc. Hãy gửi lại sau {retry_after_seconds} giây với cùng Idempotency-Key; gửi lần lượt và đọc từng trang nhỏ "
        "hơn thì không bị giới hạn.",
        f"This agency's requests have used up its allowance of processing time, or too many of them came at once. "
        f"Send again after {retry_after_seconds} seconds with the same Idempotency-Key. To stay within the allowance, "
        "send one request at a time and read smaller pages.",
        headers={"Retry-After": str(retry_after_seconds)},
    )
