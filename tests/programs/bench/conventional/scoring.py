"""Scoring, the usual way: one message, one session, one commit, one publish."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import DateTime, ForeignKey, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from tests.programs.bench.conventional.base import App, Base, first_time, province
from tests.programs.bench.conventional.messages import Judged, Line, Scored, Submitted


class Obligation(Base):
    __tablename__ = "obligations"
    obligation: Mapped[str] = mapped_column(primary_key=True)
    agency: Mapped[str]
    period: Mapped[str]
    deadline: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    version: Mapped[int] = mapped_column(default=1)
    received_version: Mapped[int] = mapped_column(default=0)
    last_received_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    decided_version: Mapped[int] = mapped_column(default=0)
    accepted_version: Mapped[int | None]
    on_time: Mapped[bool | None]
    score: Mapped[Decimal | None]


class ScoreLine(Base):
    __tablename__ = "score_lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    obligation: Mapped[str] = mapped_column(ForeignKey("obligations.obligation"), index=True)
    component: Mapped[str]
    points: Mapped[Decimal]
    cause: Mapped[str]


app = App("scoring")


async def _obligations() -> None:
    registry = province()
    async with app.sessions() as session:
        if await session.scalar(text("SELECT EXISTS (SELECT FROM obligations)")):
            return
        for period in registry["periods"]:
            await session.execute(
                insert(Obligation).on_conflict_do_nothing(),
                [
                    {
                        "obligation": f"{row['agency']}/{registry['regime']}/{period}",
                        "agency": row["agency"],
                        "period": period,
                        "deadline": datetime.fromisoformat(registry["deadline"]),
                        "version": 1,
                        "received_version": 0,
                        "decided_version": 0,
                    }
                    for row in registry["agencies"]
                ],
            )
        await session.commit()


app.before = _obligations


async def on_submission(report: Submitted) -> None:
    async with app.sessions() as session:
        if not await first_time(session, report.submission_id):
            return
        obligation = await session.get_one(Obligation, report.obligation, with_for_update=True)
        if report.version > obligation.received_version:
            obligation.received_version, obligation.last_received_at = report.version, report.received_at
        await session.commit()
    app.count("follow", "submission")


async def on_verdict(verdict: Judged) -> None:
    async with app.sessions() as session:
        if not await first_time(session, verdict.verdict_id):
            return
        obligation = await session.get_one(Obligation, verdict.obligation, with_for_update=True)
        obligation.decided_version = max(obligation.decided_version, verdict.version)
        if verdict.version > obligation.received_version:  # the verdict may come before the submission's own event
            obligation.received_version, obligation.last_received_at = verdict.version, verdict.received_at
        lines: list[Line] = []
        if verdict.outcome == "accepted" and obligation.accepted_version is None:
            obligation.accepted_version = verdict.version
            obligation.on_time = verdict.received_at <= obligation.deadline
            timely = Decimal(60) if obligation.on_time else Decimal(0)
            complete = Decimal(40) * verdict.present_items / verdict.required_items
            lines = [
                Line(component="timeliness", points=timely, cause="Nộp đúng hạn" if obligation.on_time else "Nộp trễ"),
                Line(component="completeness", points=complete, cause=f"{verdict.present_items} mục"),
            ]
            obligation.score = timely + complete
            obligation.version += 1
            session.add_all(ScoreLine(obligation=verdict.obligation, **line.model_dump()) for line in lines)
        await session.commit()
    if lines:
        await app.publish(
            "compliance",
            verdict.obligation,
            Scored(
                obligation=verdict.obligation,
                agency=verdict.agency,
                period=verdict.period,
                version=obligation.version,
                standing="fulfilled",
                on_time=bool(obligation.on_time),
                score=obligation.score or Decimal(0),
                lines=lines,
            ),
        )
    app.count("follow", "vn.thongsuot.verdict.reached.v1")


app.subscribe("follow", "submissions", on_submission)
app.subscribe("follow", "verdicts", on_verdict)


def build() -> Any:
    return app
