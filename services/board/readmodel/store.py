"""The read model's projections: one table for each kind of record, the newest version of each. Nothing here commits."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import text

from services.board import tables
from shared.contract.events import (
    AgencyRegistered,
    EscalationChanged,
    LatenessStep,
    NoticeRecorded,
    NotificationRecorded,
    NotJudged,
    ObligationChanged,
    OfficerRegistered,
    PersonRegistered,
    RegimePublished,
    RequestIssued,
    StepTaken,
    SubmissionReceived,
    VerdictReached,
)
from shared.contract.events import EventModel as Event
from shared.postgres.database import Transaction
from shared.projection import Projection


def listed(event: Event, field: str) -> str:
    """A field of the event as JSON text."""
    return msgspec.json.encode(event.model_dump(mode="json", include={field})[field]).decode()


def form_of(regime: RegimePublished) -> dict[str, Any]:
    """What an officer fills in: the form without the rules by which validator judges it."""
    return regime.form.model_dump(mode="json", exclude={"rules", "example", "severities"})


AGENCIES = Projection(
    tables.agencies,
    AgencyRegistered,
    values={"parents": lambda agency: listed(agency, "parents")},
    refilled=True,
)
OFFICERS = Projection(tables.officers, OfficerRegistered, refilled=True)
PEOPLE = Projection(
    tables.people,
    PersonRegistered,
    values={"offices": lambda person: listed(person, "offices")},
    refilled=True,
)
REGIMES = Projection(
    tables.regimes,
    RegimePublished,
    values={"form": lambda regime: msgspec.json.encode(form_of(regime)).decode()},
    refilled=True,
)
REQUESTS = Projection(tables.requests, RequestIssued, refilled=True)
OBLIGATIONS = Projection(tables.obligations, ObligationChanged)
DOCUMENTS = Projection(
    tables.obligation_documents, ObligationChanged, values={"document": lambda state: state.encode().decode()}
)
REPORTS = Projection(tables.reports, SubmissionReceived)
VERDICTS: Projection[VerdictReached | NotJudged] = Projection(
    tables.verdicts,
    VerdictReached,
    values={"findings": lambda verdict: listed(verdict, "findings")},
    # as intake orders them: a validator that lost its database judges again, later, and counts revisions from 1 anew
    version=("decided_at", "revision"),
)
#: a step is never changed: its version is its own moment
STEPS = Projection(tables.steps, StepTaken, values={"remedy": lambda _: ""}, version=("at",))
LATENESS = Projection(tables.steps, LatenessStep, values={"version": lambda _: None}, version=("at",))
NOTICES = Projection(tables.notices, NotificationRecorded)
OTHER_NOTICES = Projection(tables.notices, NoticeRecorded)
ESCALATIONS = Projection(
    tables.escalations,
    EscalationChanged,
    values={
        "passed": lambda climb: listed(climb, "passed"),
        "answers": lambda climb: listed(climb, "answers"),
        "handed_on": lambda climb: listed(climb, "handed_on"),
    },
    # a notifier that lost its database counts versions anew, later
    version=("at", "version"),
)


_FOLLOWED = ("agencies", "officers", "people", "regimes", "requests", "obligations", "obligation_documents",
             "reports", "verdicts", "steps", "notices", "escalations")  # fmt: skip


async def forget(tx: Transaction) -> int:
    """Delete all that was followed, and what says that it was applied; returns how many records."""
    rows = 0
    for table in (*_FOLLOWED, "inbox"):
        found = await tx.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - names of this module
        rows += found.rowcount if table != "inbox" else 0
    return rows
