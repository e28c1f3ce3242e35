"""Engine, session, broker and application of one service, built the usual way."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from pydantic import BaseModel
from sqlalchemy import String
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

PREFIX = os.environ.get("KAFKA_TOPIC_PREFIX", "")


class Base(DeclarativeBase):
    """Tables of one service; each process imports the models of its own only."""


class Processed(Base):
    """Events that have been handled, so that a repeated one is dropped."""

    __tablename__ = "processed"
    event: Mapped[str] = mapped_column(String, primary_key=True)


def province() -> Any:
    """What the load's registry says."""
    return json.loads(Path(os.environ["BENCH_PROVINCE"]).read_text(encoding="utf-8"))


def engine_url(service: str) -> str:
    return "postgresql+asyncpg://" + os.environ[f"{service.upper()}_DATABASE_URL"].partition("://")[2]


class App:
    """One service."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.engine = create_async_engine(engine_url(name), pool_size=20, max_overflow=0)
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self.broker = KafkaBroker(os.environ["KAFKA_BOOTSTRAP_SERVERS"].split(","), acks="all", logger=None)
        self.applied: Counter[tuple[str, str]] = Counter()
        self.before: Callable[[], Awaitable[None]] | None = None
        self.subscribers: list[Any] = []
        self.api = FastAPI(lifespan=self._lifespan)
        self.api.get("/readyz")(self._readyz)
        self.api.get("/metrics")(self._metrics)

    @asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        if self.before is not None:
            await self.before()
        await self.broker.start()
        yield
        await self.broker.stop()
        await self.engine.dispose()

    async def _readyz(self) -> Response:
        return Response(status_code=200 if all(s.consumer.assignment() for s in self.subscribers) else 503)

    async def _metrics(self) -> Response:
        lines = [
            f'thongsuot_consumer_applied_total{{group="{group}",type="{kind}"}} {count}'
            for (group, kind), count in self.applied.items()
        ]
        return Response("\n".join([*lines, ""]), media_type="text/plain")

    async def publish(self, topic: str, key: str, body: BaseModel) -> None:
        await self.broker.publish(body, PREFIX + topic, key=key.encode())

    def subscribe(self, group: str, topic: str, handler: Callable[..., Awaitable[None]]) -> None:
        subscriber = self.broker.subscriber(
            PREFIX + topic,
            group_id=f"{PREFIX}{self.name}.{group}.{topic}",
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.NACK_ON_ERROR,
        )
        subscriber(handler)
        self.subscribers.append(subscriber)

    def count(self, group: str, kind: str = "") -> None:
        self.applied[(f"{self.name}.{group}", kind)] += 1


async def first_time(session: AsyncSession, event: str) -> bool:
    """Whether the event has not been handled yet; marks it."""
    if await session.get(Processed, event) is not None:
        return False
    session.add(Processed(event=event))
    return True
