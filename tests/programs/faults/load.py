"""Seeded agencies that post through the public API and keep every receipt as proof.

Each post is repeated under its own Idempotency-Key until it is answered or its time is up; both are recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from uuid import UUID, uuid5

import aiohttp

from tests.programs.faults import people

_KEYS = UUID("3d9d8d27-7e6a-4a44-9a53-6d0f2f7a1c11")
RETRIED = frozenset({429, 500, 502, 503, 504})
#: status under which a ledger counts requests without an answer in time
TIMED_OUT = "TimedOut"


@dataclass(frozen=True, slots=True)
class Post:
    """One request under one idempotency key."""

    agency: str
    period: str
    key: str
    body: bytes
    regime: str = people.REGIME

    @property
    def obligation(self) -> str:
        return f"{self.agency}/{self.regime}/{self.period}"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


@dataclass(frozen=True, slots=True)
class Receipt:
    """A 2xx answer."""

    post: Post
    status: int
    submission_id: str
    obligation: str
    version: int
    sha256: str
    received_at: str


@dataclass
class Ledger:
    """All answers that the clients got. `receipts` holds every 2xx, repetitions too."""

    receipts: list[Receipt] = field(default_factory=list)
    refused: list[tuple[Post, int, str]] = field(default_factory=list)
    gave_up: list[Post] = field(default_factory=list)
    posted: dict[tuple[str, str], Post] = field(default_factory=dict)  # (agency, key)
    answers: Counter[str] = field(default_factory=Counter)
    slowest_seconds: float = 0.0
    #: of a neighbour's reports: obligation and version -> seconds from receipt until judged and scored
    judged_seconds: dict[str, float] = field(default_factory=dict)

    def copy(self) -> Ledger:
        return Ledger(
            list(self.receipts), list(self.refused), list(self.gave_up), dict(self.posted), Counter(self.answers),
            judged_seconds=dict(self.judged_seconds),
        )  # fmt: skip


def merged(ledgers: Sequence[Ledger]) -> Ledger:
    """Merge the ledgers of several loads."""
    whole = Ledger()
    for ledger in ledgers:
        whole.receipts += ledger.receipts
        whole.refused += ledger.refused
        whole.gave_up += ledger.gave_up
        whole.posted |= ledger.posted
        whole.answers += ledger.answers
        whole.judged_seconds |= ledger.judged_seconds
        whole.slowest_seconds = max(whole.slowest_seconds, ledger.slowest_seconds)
    return whole


def plan(
    dice: random.Random, posts: int, agencies: Sequence[str], versions: int, first_serial: int = 0
) -> list[list[Post]]:
    """Chains of posts: one chain is one obligation, its posts follow each other and differ."""
    places = [(agency, period) for agency in agencies for period in people.PERIODS]
    dice.shuffle(places)
    chains: list[list[Post]] = []
    serial = first_serial
    for agency, period in places:
        chain = []
        for _ in range(versions):
            if serial - first_serial >= posts:
                break
            serial += 1
            key = str(uuid5(_KEYS, f"{dice.random()}/{serial}"))
            chain.append(Post(agency, period, key, people.make_body(dice, agency, period, serial)))
        if chain:
            chains.append(chain)
    return chains


class Load:
    """Posts `chains` from a thread of its own, `clients` at a time. `with load:` starts it; `finish()` waits."""

    def __init__(
        self,
        urls: Sequence[str],
        keys: Mapping[str, str],
        chains: Sequence[Sequence[Post]],
        *,
        seed: int,
        clients: int = 16,
        patience_seconds: float = 60.0,
        request_timeout_seconds: float = 8.0,
        pause_seconds: float = 0.0,
        double_share: float = 0.05,
    ) -> None:
        self.ledger = Ledger()
        self._urls = list(urls)
        self._keys = keys
        self._chains = list(chains)
        self._dice = random.Random(seed)
        self._clients = clients
        self._patience_seconds = patience_seconds
        self._timeout_seconds = request_timeout_seconds
        self._pause_seconds = pause_seconds
        self._double_share = double_share  # posts that are sent twice at once under one key
        self._stopped = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="fault-load", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(self._patience_seconds + 30)

    @property
    def stored(self) -> int:
        """Receipts so far."""
        return len(self.ledger.receipts)

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def wait_for(self, receipts: int, seconds: float = 60) -> None:
        """Wait for so many receipts, or the end of the load. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while self.stored < receipts and not self.done:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.stored} of {receipts} receipts after {seconds} s: {self.ledger.answers}")
            time.sleep(0.02)
        if self._error is not None:
            raise self._error

    def finish(self, seconds: float = 180) -> Ledger:
        """Wait until every post is answered or given up."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            raise TimeoutError(f"the load has not ended after {seconds} s: {self.ledger.answers}")
        if self._error is not None:
            raise self._error
        return self.ledger

    def stop(self) -> Ledger:
        """Send nothing new; requests in progress are still answered or given up."""
        self._stopped.set()
        return self.finish()

    def _run(self) -> None:
        try:
            asyncio.run(self._crowd())
        except BaseException as error:
            self._error = error

    async def _crowd(self) -> None:
        waiting = list(reversed(self._chains))

        async def one(http: aiohttp.ClientSession) -> None:
            while waiting and not self._stopped.is_set():
                for post in waiting.pop():
                    if self._stopped.is_set():
                        return
                    if self._dice.random() < self._double_share:
                        await asyncio.gather(self._post(http, post), self._post(http, post))
                    else:
                        await self._post(http, post)
                    if self._pause_seconds:
                        await asyncio.sleep(self._pause_seconds * self._dice.uniform(0.5, 1.5))

        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=self._timeout_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as http:
            await asyncio.gather(*(one(http) for _ in range(self._clients)))

    async def _post(self, http: aiohttp.ClientSession, post: Post) -> None:
        ledger = self.ledger
        ledger.posted[(post.agency, post.key)] = post
        give_up_at = time.monotonic() + self._patience_seconds
        pause_seconds = 0.05
        headers = {
            "Authorization": f"Bearer {self._keys[post.agency]}",
            "Content-Type": "application/json",
            "Idempotency-Key": post.key,
        }
        while True:
            began = time.monotonic()
            try:
                url = f"{self._dice.choice(self._urls)}/v1/submissions"
                async with http.post(url, data=post.body, headers=headers) as answer:
                    said = await answer.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                ledger.answers[TIMED_OUT if isinstance(error, TimeoutError) else type(error).__name__] += 1
            else:
                ledger.slowest_seconds = max(ledger.slowest_seconds, time.monotonic() - began)
                ledger.answers[str(answer.status)] += 1
                if 200 <= answer.status < 300:
                    told = json.loads(said)
                    ledger.receipts.append(
                        Receipt(
                            post, answer.status, told["submission_id"], told["obligation"], told["version"],
                            told["sha256"], told["received_at"],
                        )
                    )  # fmt: skip
                    return
                passing = answer.status == 409 and "retry-after" in answer.headers
                if answer.status not in RETRIED and not passing:
                    ledger.refused.append((post, answer.status, said.decode("utf-8", "replace")[:300]))
                    return
            if time.monotonic() + pause_seconds > give_up_at:
                ledger.gave_up.append(post)
                return
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(pause_seconds * self._dice.uniform(0.7, 1.3))
            pause_seconds = min(pause_seconds * 2, 1.0)
