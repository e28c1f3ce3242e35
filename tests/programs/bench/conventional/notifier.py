"""Notifier, the usual way; this load causes no mail."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from tests.programs.bench.conventional.base import App, Base, first_time
from tests.programs.bench.conventional.messages import Judged, Scored


class Obligation(Base):
    __tablename__ = "obligations"
    obligation: Mapped[str] = mapped_column(primary_key=True)
    standing: Mapped[str]
    version: Mapped[int]


app = App("notifier")


async def on_verdict(verdict: Judged) -> None:
    async with app.sessions() as session:
        if await first_time(session, verdict.verdict_id):
            await session.commit()
    app.count("verdicts")


async def on_score(scored: Scored) -> None:
    async with app.sessions() as session:
        if not await first_time(session, f"{scored.obligation}#{scored.version}"):
            return
        obligation = await session.get(Obligation, scored.obligation, with_for_update=True)
        if obligation is None:
            session.add(Obligation(obligation=scored.obligation, standing=scored.standing, version=scored.version))
        elif scored.version > obligation.version:
            obligation.standing, obligation.version = scored.standing, scored.version
        await session.commit()
    app.count("compliance")


app.subscribe("verdicts", "verdicts", on_verdict)
app.subscribe("compliance", "compliance", on_score)


def build() -> Any:
    return app
