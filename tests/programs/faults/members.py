"""Members that join consumer groups and leave without consuming anything: a rebalance storm."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError


class Storm:
    """Every `every_seconds` a member joins one of the groups, or the last one leaves; `with Storm(…):`."""

    def __init__(
        self, bootstrap: str, groups: Sequence[tuple[str, Sequence[str]]], *, every_seconds: float, seed: int
    ) -> None:
        self._bootstrap = bootstrap
        self._groups = list(groups)  # (group id, topics)
        self._every_seconds = every_seconds
        self._dice = random.Random(seed)
        self._stopped = threading.Event()
        self.changes = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._blow()), name="rebalance-storm", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(60)

    async def _blow(self) -> None:
        members: dict[str, AIOKafkaConsumer] = {}
        try:
            while not self._stopped.is_set():
                group, topics = self._dice.choice(self._groups)
                try:
                    if group in members:
                        await members.pop(group).stop()
                    else:
                        member = AIOKafkaConsumer(
                            *topics,
                            bootstrap_servers=self._bootstrap,
                            group_id=group,
                            enable_auto_commit=False,
                            session_timeout_ms=6000,
                            heartbeat_interval_ms=1000,
                        )
                        members[group] = member
                        await asyncio.wait_for(member.start(), 20)
                    self.changes += 1
                except (KafkaError, OSError, TimeoutError):
                    continue
                for _ in range(int(self._every_seconds / 0.1)):
                    if self._stopped.is_set():
                        break
                    await asyncio.sleep(0.1)
        finally:
            await asyncio.gather(*(member.stop() for member in members.values()), return_exceptions=True)
