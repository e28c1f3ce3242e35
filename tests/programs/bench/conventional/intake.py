"""Intake, the usual way: a pydantic body, a session per request, commit, then publish."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import uuid_utils
from fastapi import Header, HTTPException, Request
from pydantic import BaseModel
from sqlalchemy import DateTime, LargeBinary, UniqueConstraint, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from tests.programs.bench.conventional.base import App, Base, first_time, province
from tests.programs.bench.conventional.messages import Judged, Scored, Submitted


class ApiKey(Base):
    __tablename__ = "api_keys"
    key_id: Mapped[str] = mapped_column(primary_key=True)
    agency: Mapped[str]
    officer: Mapped[str]
    sha256: Mapped[str]


class Obligation(Base):
    __tablename__ = "obligations"
    obligation: Mapped[str] = mapped_column(primary_key=True)
    last_version: Mapped[int] = mapped_column(default=0)
    standing: Mapped[str] = mapped_column(default="nothing_sent")
    on_time: Mapped[bool | None]
    score: Mapped[Decimal | None]


class Submission(Base):
    __tablename__ = "submissions"
    __table_args__ = (UniqueConstraint("agency", "idempotency_key"), UniqueConstraint("obligation", "version"))
    submission_id: Mapped[str] = mapped_column(primary_key=True)
    obligation: Mapped[str]
    version: Mapped[int]
    agency: Mapped[str] = mapped_column(index=True)
    period: Mapped[str]
    officer_id: Mapped[str]
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    idempotency_key: Mapped[str]
    sha256: Mapped[str]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[str] = mapped_column(default="received")


class Report(BaseModel):
    """The request's body."""

    regime: str
    period: str
    officer: str
    figures: dict[str, Decimal]
    narratives: dict[str, str]


class Receipt(BaseModel):
    """The answer."""

    submission_id: str
    obligation: str
    version: int
    received_at: datetime
    sha256: str
    status: str


app = App("intake")


async def _keys() -> None:
    registry = province()
    rows = [
        {
            "key_id": row["key"].split("_")[1],
            "agency": row["agency"],
            "officer": row["officer"],
            "sha256": hashlib.sha256(row["key"].encode()).hexdigest(),
        }
        for row in registry["agencies"]
    ]
    async with app.sessions() as session:
        await session.execute(insert(ApiKey).on_conflict_do_nothing(), rows)
        await session.commit()


app.before = _keys


@app.api.post("/v1/submissions", status_code=201)
async def submit(
    request: Request,
    report: Report,
    authorization: Annotated[str, Header()],
    idempotency_key: Annotated[str, Header()],
) -> Receipt:
    body = await request.body()
    digest = hashlib.sha256(body).hexdigest()
    async with app.sessions() as session:
        token = authorization.removeprefix("Bearer ")
        key = await session.get(ApiKey, token[4:20])
        if key is None or key.sha256 != hashlib.sha256(token.encode()).hexdigest():
            raise HTTPException(401)
        if key.officer != report.officer:
            raise HTTPException(422)
        known = await session.scalar(
            select(Submission).where(Submission.agency == key.agency, Submission.idempotency_key == idempotency_key)
        )
        if known is not None:
            if known.sha256 != digest:
                raise HTTPException(422)
            return _receipt(known)
        submission = await _store(session, report, key.agency, idempotency_key, digest, body)
        await session.commit()
    await app.publish(
        "submissions",
        submission.obligation,
        Submitted(
            submission_id=submission.submission_id,
            obligation=submission.obligation,
            agency=submission.agency,
            regime=report.regime,
            period=report.period,
            version=submission.version,
            officer_id=report.officer,
            received_at=submission.received_at,
            sha256=digest,
            figures=report.figures,
            narratives=report.narratives,
        ),
    )
    return _receipt(submission)


async def _store(session: AsyncSession, report: Report, agency: str, key: str, digest: str, body: bytes) -> Submission:
    name = f"{agency}/{report.regime}/{report.period}"
    await session.execute(insert(Obligation).values(obligation=name, last_version=0).on_conflict_do_nothing())
    obligation = await session.get_one(Obligation, name, with_for_update=True)
    obligation.last_version += 1
    submission = Submission(
        submission_id=str(uuid_utils.uuid7()),
        obligation=name,
        version=obligation.last_version,
        agency=agency,
        period=report.period,
        officer_id=report.officer,
        received_at=datetime.now(UTC),
        idempotency_key=key,
        sha256=digest,
        body=body,
        status="received",
    )
    session.add(submission)
    return submission


def _receipt(submission: Submission) -> Receipt:
    return Receipt.model_validate(submission, from_attributes=True)


async def on_verdict(verdict: Judged) -> None:
    async with app.sessions() as session:
        if not await first_time(session, verdict.verdict_id):
            return
        submission = await session.get_one(Submission, verdict.submission_id)
        submission.status = verdict.outcome
        await session.commit()
    app.count("follow")


async def on_score(scored: Scored) -> None:
    async with app.sessions() as session:
        if not await first_time(session, f"{scored.obligation}#{scored.version}"):
            return
        obligation = await session.get_one(Obligation, scored.obligation, with_for_update=True)
        obligation.standing, obligation.on_time, obligation.score = scored.standing, scored.on_time, scored.score
        await session.commit()
    app.count("follow")


app.subscribe("follow", "verdicts", on_verdict)
app.subscribe("follow", "compliance", on_score)


def build() -> Any:
    return app
