"""A key pays for what its requests cost, in milliseconds of CPU on the event loop, and has few of them at once.

Each key has an allowance of its own, so that one system of an agency does not stop another; all keys of one owner
together have OWNERS_KEYS times as much, so that whatever one agency sends, its neighbours keep the rest of the loop. A
request is let in while there is credit and is charged when it ends, refused or not: so an account may go into debt by
what it has in work, never by more than one burst. Operators are charged in the same way, from a larger allowance.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.access import Principal
from shared.runtime.clock import monotonic_seconds
from shared.runtime.cpu import work_seconds
from shared.runtime.settings import ServiceSettings
from shared.web.errors import TOO_MANY, Problem

#: what a request costs besides its time on the loop: the parser's, the commit's, the relay's and the consumers' time
REQUEST_MILLISECONDS = 0.25
BYTES_PER_MILLISECOND = 65_536

#: how many keys that take all they may an owner's bound has room for: two are live while one is rotated
OWNERS_KEYS = 2

#: what an answer to a known key carries, and what a refusal for too many requests carries
POLICY_HEADER, LEFT_HEADER, RETRY_HEADER = "RateLimit-Policy", "RateLimit", "Retry-After"

_METER = "thongsuot.meter"


class Exhausted(Exception):
    """The key, or its owner, has to wait so many whole seconds."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"again after {retry_after_seconds} s")
        self.retry_after_seconds = retry_after_seconds


class Lane:
    """Requests of one payer and one kind: those in work, and those that wait for their turn."""

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
    """One payer's credit in milliseconds as of a moment, and its lanes: what it sends, and what it reads."""

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
    """The accounts of all payers, keys or owners; those that say nothing (full, idle) are forgotten.

    `sends_at_once` is many, since what is sent mostly waits for its commit; `reads_at_once` is few, since a page is
    made on the loop. Who has no credit is kept waiting for `hold_seconds` before the refusal, which costs the loop as
    much as a small answer: a system that takes no notice of refusals gets no more of them than that allows.
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
        policy: str,
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
        self._name = f'"{policy}"'
        self._policy = f'{self._name};q={burst_milliseconds:.0f};qu="milliseconds";w={window_seconds}'.encode()

    def headers(self, payer: str) -> tuple[bytes, bytes] | None:
        """RateLimit-Policy and RateLimit: the burst, what is left of it, and the seconds until it is full again.

        None: no account. Source: draft-ietf-httpapi-ratelimit-headers-10.
        """
        account = self._accounts.get(payer)
        if account is None:
            return None
        self._refill(account)
        left, full_in = max(0, int(account.credit)), math.ceil((self._burst - account.credit) / self._rate)
        return self._policy, f"{self._name};r={left};t={full_in}".encode()

    async def enter(self, payer: str, *, reads: bool = False) -> tuple[Account, Lane]:
        """The payer's account, with one more request in work: call `leave` at its end. Raises Exhausted."""
        account = self._accounts.get(payer)
        if account is None:
            if len(self._accounts) >= self._max_accounts:
                self._forget()
            account = Account(self._burst, monotonic_seconds(), self._sends_at_once, self._reads_at_once)
            self._accounts[payer] = account
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


class Payer(NamedTuple):
    """Whose key it is, and which of the owner's keys."""

    owner: str
    key: str


class KeyAllowances:
    """An allowance for each key, as given, and one for each owner, OWNERS_KEYS times as wide, for all keys together."""

    def __init__(
        self,
        milliseconds_per_second: float,
        burst_milliseconds: float,
        *,
        sends_at_once: int,
        reads_at_once: int,
        waiting: int,
        policy: str = "agency",
        **others: float,
    ) -> None:
        def allowances(times: int, name: str) -> Allowances:
            return Allowances(
                milliseconds_per_second * times,
                burst_milliseconds * times,
                sends_at_once=sends_at_once * times,
                reads_at_once=reads_at_once * times,
                waiting=waiting * times,
                policy=name,
                **others,  # type: ignore[arg-type]
            )

        self._keys = allowances(1, "key")
        self._owners = allowances(OWNERS_KEYS, policy)

    def accounts_of(self, payer: Payer) -> tuple[tuple[str, Allowances], ...]:
        """Which accounts pay for a request, in the order in which they are asked."""
        return (payer.key, self._keys), (payer.owner, self._owners)


@dataclass(frozen=True, slots=True)
class PrincipalAllowances:
    """Who is charged where: operators have an allowance of their own, agencies and people share one of their kind."""

    agencies: KeyAllowances
    operators: KeyAllowances

    def of(self, principal: Principal, key_id: str) -> tuple[Payer, KeyAllowances]:
        """Who pays for what is asked with a key of the principal, and the allowances that keep the accounts."""
        return payer_of(principal, key_id), self.operators if principal.kind == "operator" else self.agencies


def payer_of(principal: Principal, key_id: str) -> Payer:
    """The principal with this key. Without one a token named the person: all such requests pay as from one key."""
    owner = principal.id if principal.kind == "agency" else f"{principal.kind}/{principal.id}"
    return Payer(owner, key_id or owner)


def operators_allowances(settings: ServiceSettings) -> KeyAllowances:
    """What each operator's key may ask of a service, on operators' routes and on those that others call too."""
    return KeyAllowances(
        settings.operator_milliseconds_per_second,
        settings.operator_burst_milliseconds,
        sends_at_once=settings.operator_requests_at_once,
        reads_at_once=settings.operator_requests_at_once,
        waiting=settings.operator_waiting,
        policy="operator",
    )


class Meter:
    """What one request takes. `charge_to` says whose it is, as soon as that is known."""

    __slots__ = ("_accounts", "_places", "_reads", "body_bytes", "seconds")

    def __init__(self, reads: bool = False) -> None:
        self._reads = reads
        self._accounts: tuple[tuple[str, Allowances], ...] = ()
        self._places: list[tuple[Allowances, Account, Lane]] = []
        self.body_bytes = 0
        self.seconds = 0.0

    @staticmethod
    def of(scope: Scope) -> Meter | None:
        """The meter of this request, if it is metered."""
        meter = scope.get(_METER)
        return meter if isinstance(meter, Meter) else None

    async def charge_to(self, *accounts: tuple[str, Allowances]) -> None:
        """Wait until each account may have one more request in work; each pays for all that this one takes.

        An account that refuses does not pay, nor do those after it. Raises Exhausted.
        """
        if self._accounts:
            return
        self._accounts = accounts
        for payer, allowances in accounts:
            account, lane = await allowances.enter(payer, reads=self._reads)
            self._places.append((allowances, account, lane))

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What the answer says of the allowances of the key and of its owner; nothing where no key is known."""
        told = [said for payer, allowances in self._accounts if (said := allowances.headers(payer)) is not None]
        if not told:
            return ()
        return (
            (POLICY_HEADER.lower().encode(), b", ".join(policy for policy, _ in told)),
            (LEFT_HEADER.lower().encode(), b", ".join(left for _, left in told)),
        )

    def close(self) -> None:
        """Charge what was taken."""
        if self._places:
            cost = REQUEST_MILLISECONDS + self.body_bytes / BYTES_PER_MILLISECOND + self.seconds * 1000
            for allowances, account, lane in self._places:
                allowances.leave(account, lane, cost)
            self._places.clear()


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


async def pay(scope: Scope, payer: Payer, allowances: KeyAllowances) -> None:
    """Have this key and its owner pay for the request. Raises 429 where either has no credit."""
    meter = Meter.of(scope)
    if meter is None:
        raise RuntimeError("a route with a key without the layer that measures what it takes")
    try:
        await meter.charge_to(*allowances.accounts_of(payer))
    except Exhausted as exhausted:
        raise allowance_spent(exhausted.retry_after_seconds) from None


def allowance_spent(retry_after_seconds: int) -> Problem:
    """The requests of a key, or of its owner, have cost more than allowed, or too many of them are in work."""
    return Problem.of(
        TOO_MANY,
        f"Các yêu cầu của khóa này, hoặc của mọi khóa cùng chủ, đã dùng hết thời gian xử lý được dành, hoặc quá nhiều "
        f"yêu cầu được gửi cùng lúc. Hãy gửi lại sau {retry_after_seconds} giây với cùng Idempotency-Key; gửi lần lượt "
        "và đọc từng trang nhỏ hơn thì không bị giới hạn.",
        f"The requests of this key, or of all keys of its owner, have used up the allowance of processing time, or too "
        f"many of them came at once. Send again after {retry_after_seconds} seconds with the same Idempotency-Key. To "
        "stay within the allowance, send one request at a time and read smaller pages.",
        headers={RETRY_HEADER: str(retry_after_seconds)},
    )


def describe(document: dict[str, Any]) -> None:
    """Name in an OpenAPI document the headers of the limits: of every answer to a key, and of the refusal.

    An operation that is open to everybody is limited by address, which no header tells of before it is refused. One
    that states no scope has no limit.
    """
    headers = document.setdefault("components", {}).setdefault("headers", {})
    headers |= _HEADERS
    for operations in document["paths"].values():
        for operation in operations.values():
            if not {"security", "x-scope"} & operation.keys():
                continue
            responses = operation["responses"]
            responses.setdefault(str(TOO_MANY.status), _refused(responses))
            for status, response in responses.items():
                named = dict(response.get("headers", {}))
                if "security" in operation:
                    named |= {name: _reference(name) for name in (POLICY_HEADER, LEFT_HEADER)}
                if status == str(TOO_MANY.status):
                    named[RETRY_HEADER] = {**_HEADERS[RETRY_HEADER], "required": True}
                elif status in _MAY_ASK_TO_WAIT:
                    named[RETRY_HEADER] = _reference(RETRY_HEADER)
                if named:
                    responses[status] = response | {"headers": named}  # FastAPI gives one object to many operations


def _refused(responses: dict[str, Any]) -> dict[str, Any]:
    """The answer to too many requests, as the document has any refusal."""
    content = responses.get("default", {}).get("content", {})
    described = "Quá nhiều yêu cầu, gửi lại sau Retry-After / too many requests, again after Retry-After"
    return {"description": described, "content": {name: dict(kind) for name, kind in content.items()}}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def _listed(item: str) -> str:
    """The pattern of one such item, or of two."""
    return f"^{item}(, {item})?$"


#: refusals that say when to come back: all others of an operation, those of infrastructure trouble among them
_MAY_ASK_TO_WAIT = ("default", "409", "503")
_HEADERS: dict[str, Any] = {
    POLICY_HEADER: {
        "description": (
            "Hạn mức của khóa (key), rồi của mọi khóa cùng chủ: mức cao nhất (q, mili giây CPU), đầy lại trong w giây. "
            "Có khi khóa còn hiệu lực. / The allowance of the key, then that of all keys of its owner: at most q "
            "milliseconds of CPU, full again within w seconds. There for a live key "
            "(draft-ietf-httpapi-ratelimit-headers-10)."
        ),
        "schema": {"type": "string", "pattern": _listed(r'"[a-z]+";q=[0-9]+;qu="milliseconds";w=[0-9]+')},
        "example": '"key";q=1000;qu="milliseconds";w=5, "agency";q=2000;qu="milliseconds";w=5',
    },
    LEFT_HEADER: {
        "description": (
            "Mỗi hạn mức còn lại r mili giây, đầy lại sau t giây. / Of each, r milliseconds are left, full again after "
            "t seconds."
        ),
        "schema": {"type": "string", "pattern": _listed(r'"[a-z]+";r=[0-9]+;t=[0-9]+')},
        "example": '"key";r=840;t=1, "agency";r=1760;t=1',
    },
    RETRY_HEADER: {
        "description": "Gửi lại sau số giây này / send again after so many seconds",
        "schema": {"type": "integer", "minimum": 1},
        "example": 1,
    },
}
