"""Validator, the usual way: one message, one session, one commit, one publish."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import uuid_utils
from sqlalchemy import JSON, DateTime
from sqlalchemy.orm import Mapped, mapped_column

from tests.programs.bench.conventional.base import App, Base, first_time, province
from tests.programs.bench.conventional.messages import Finding, Judged, Submitted


class Verdict(Base):
    __tablename__ = "verdicts"
    verdict_id: Mapped[str] = mapped_column(primary_key=True)
    submission_id: Mapped[str] = mapped_column(unique=True)
    obligation: Mapped[str] = mapped_column(index=True)
    version: Mapped[int]
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    decided_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    outcome: Mapped[str]
    required_items: Mapped[int]
    present_items: Mapped[int]
    findings: Mapped[list[dict[str, Any]]] = mapped_column(JSON)


app = App("validator")
FORM: dict[str, Any] = {}


async def _form() -> None:
    FORM.update(province()["form"])


app.before = _form


def check(report: Submitted) -> tuple[list[Finding], int]:
    """Findings, and how many of the required items are there."""
    findings = []
    present = 0
    for figure in FORM["figures"]:
        value = report.figures.get(figure["code"])
        if value is None:
            findings.append(Finding(code="FIGURE_MISSING", path=f"/figures/{figure['code']}"))
            continue
        present += 1
        if not Decimal(figure["minimum"]) <= value <= Decimal(figure["maximum"]):
            findings.append(Finding(code="RANGE", path=f"/figures/{figure['code']}"))
        exponent = value.as_tuple().exponent
        if not isinstance(exponent, int) or -exponent > figure.get("fraction_digits", 0):
            findings.append(Finding(code="FRACTION", path=f"/figures/{figure['code']}"))
    for rule in FORM["sums"]:
        if rule["total"] in report.figures and all(term in report.figures for term in rule["terms"]):
            difference = report.figures[rule["total"]] - sum(report.figures[term] for term in rule["terms"])
            if difference:
                findings.append(Finding(code=rule["code"], path=f"/figures/{rule['total']}", difference=difference))
    for narrative in FORM["narratives"]:
        text = report.narratives.get(narrative["code"])
        if text is None:
            findings.append(Finding(code="NARRATIVE_MISSING", path=f"/narratives/{narrative['code']}"))
            continue
        present += 1
        if not narrative["min_characters"] <= len(text) <= narrative["max_characters"]:
            findings.append(Finding(code="NARRATIVE_LENGTH", path=f"/narratives/{narrative['code']}"))
    return findings, present


async def on_submission(report: Submitted) -> None:
    findings, present = check(report)
    judged = Judged(
        verdict_id=str(uuid_utils.uuid7()),
        submission_id=report.submission_id,
        obligation=report.obligation,
        agency=report.agency,
        regime=report.regime,
        period=report.period,
        version=report.version,
        officer_id=report.officer_id,
        received_at=report.received_at,
        decided_at=datetime.now(UTC),
        outcome="returned" if findings else "accepted",
        required_items=len(FORM["figures"]) + len(FORM["narratives"]),
        present_items=present,
        findings=findings,
    )
    async with app.sessions() as session:
        if not await first_time(session, report.submission_id):
            return
        session.add(
            Verdict(
                **judged.model_dump(include=set(Verdict.__table__.columns.keys()) - {"findings"}),
                findings=[finding.model_dump(mode="json") for finding in findings],
            )
        )
        await session.commit()
    await app.publish("verdicts", judged.obligation, judged)
    app.count("submissions")


app.subscribe("submissions", "submissions", on_submission)


def build() -> Any:
    return app
