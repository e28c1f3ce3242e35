"""The scriptable mail server in its own thread, for provinces with a notifier."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from tests.fakes.smtp import Act, FakeSmtp, Verb


class MailServer:
    """`with MailServer() as server: server.address`; orders may come from any thread."""

    def __init__(self) -> None:
        self.fake = FakeSmtp()
        self._ordered = 0
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fault-mail-server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._up.wait(10):
            raise TimeoutError("the mail server does not listen")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self.fake.stop(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self.fake.start())
        self._up.set()
        self._loop.run_forever()
        self._loop.close()

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.fake.port)

    def order(self, verb: Verb, *acts: Act) -> None:
        """Set the next answers to this verb."""

        async def extend() -> None:
            self.fake.script[verb].extend(acts)
            self._ordered += len(acts)

        asyncio.run_coroutine_threadsafe(extend(), self._loop).result(20)

    def left(self) -> int:
        """Acts that have not been played yet."""
        return sum(len(acts) for acts in self.fake.script.values())

    def played(self) -> int:
        """Acts that have been played."""
        return self._ordered - self.left()

    def unplayed(self) -> str:
        """Their verbs and numbers."""
        return ", ".join(f"{verb} {len(acts)}" for verb, acts in self.fake.script.items() if acts)

    def quits(self) -> int:
        """How many clients have said QUIT."""
        return self.fake.log.count("QUIT")

    def stop_listening(self) -> None:
        """Go away: refuse connections and drop the open ones."""
        asyncio.run_coroutine_threadsafe(self.fake.stop(), self._loop).result(20)

    def listen_again(self) -> None:
        """Come back on the same port."""
        asyncio.run_coroutine_threadsafe(self.fake.start(), self._loop).result(20)

    def mails(self) -> Sequence[str]:
        """Message-IDs in the order of acceptance."""
        return [str(taken.message["Message-ID"]).strip() for taken in list(self.fake.accepted)]
