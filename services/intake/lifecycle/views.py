"""What is shown of steps, and of the state that follows from them."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, Field

from services.intake.lifecycle import deciding, states, table
from services.intake.lifecycle.states import History, Taken, Version
from services.intake.lifecycle.table import AnyKind, ReportState, Transition
from services.intake.views import Moment
from shared.contract.events.submissions import AppealEffect


class PossibleStep(BaseModel):
    """A step that is possible now, and who may take it."""

    step: AnyKind
    route: str = Field(examples=["POST /v1/submissions/{id}/withdrawal"])
    who: list[str] = Field(examples=[["reporting_officer", "head"]])
    name: str = Field(examples=["rút"])
    name_en: str = Field(examples=["withdraw"])


class PossibleDecision(PossibleStep):
    """A decision that is possible now on what was asked for."""

    effects: list[AppealEffect] = Field(description="Khiếu nại được chấp nhận cho được gì / what upholding it can give")


class StepView(BaseModel):
    """A step (bước) that somebody took."""

    step_id: UUID
    kind: AnyKind = Field(examples=["withdrawn"])
    name: str = Field(examples=["rút"])
    name_en: str = Field(examples=["withdraw"])
    at: Moment
    by: str = Field(examples=["DM1-H99.131"])
    role: str = Field(examples=["reporting_officer"])
    reason: str = Field(examples=["Gửi nhầm kỳ báo cáo"])
    since: Moment | None
    until: Moment | None
    effect: AppealEffect | None
    answers: UUID | None = Field(description="Bước được trả lời / the request that it decides")
    submission_id: UUID | None
    version: int | None
    remedy: str = Field(
        default="", description="Biện pháp khắc phục, của giải trình chậm báo cáo / the remedy, of lateness explained"
    )
    decisions: list[PossibleDecision] = Field(
        description="Đề nghị còn chờ: quyết định được gì, ai quyết định / of a request that waits: how it can be "
        "decided, and by whom"
    )


class Superseded(BaseModel):
    """The version that took the place of another, and since when."""

    version: int
    at: Moment


class Lifecycle(BaseModel):
    """Where a version of the report stands in its life, and what can be done with it now."""

    state: ReportState = Field(examples=["accepted"])
    name: str = Field(examples=["đạt"])
    name_en: str = Field(examples=["accepted"])
    certified: bool
    superseded: Superseded | None = Field(description="Phiên bản thay thế / the newer version that took its place")
    counts: bool = Field(description="Là báo cáo hợp lệ / it is accepted, and certified where that is asked for")
    possible: list[PossibleStep]


class Mark(BaseModel):
    """One version, and when it was received."""

    version: int
    received_at: Moment


def step_view(step: Taken, history: History) -> StepView:
    version = history.version(step.submission_id)
    name, name_en = table.by_kind(step.kind).name
    fields = {field: getattr(step, field) for field in step.__struct_fields__ if field in StepView.model_fields}
    return StepView(
        **fields,
        name=name,
        name_en=name_en,
        version=None if version is None else version.number,
        decisions=_decisions(history, step),
    )


def _decisions(history: History, step: Taken) -> list[PossibleDecision]:
    return [
        PossibleDecision(
            **possible.model_dump(),
            effects=deciding.possible_effects(history, step) if possible.step == "appeal_upheld" else [],
        )
        for possible in possible_steps(deciding.possible_decisions(history, step))
    ]


def lifecycle(history: History, version: Version) -> Lifecycle:
    state = states.state_of(history, version)
    name, name_en = table.STATES[state]
    newer = states.superseded_by(history, version) if state == "superseded" else None
    return Lifecycle(
        state=state,
        name=name,
        name_en=name_en,
        certified=states.is_certified(history, version),
        superseded=None if newer is None else Superseded(version=newer[1].number, at=newer[0]),
        counts=states.counts(history, version),
        possible=possible_steps(deciding.possible_now(history, version)),
    )


def possible_steps(rows: list[Transition]) -> list[PossibleStep]:
    return [
        PossibleStep(step=row.kind, route=row.route, who=list(row.who), name=row.name[0], name_en=row.name[1])
        for row in rows
        if row.kind is not None
    ]


def marks(history: History) -> tuple[Mark | None, Mark | None, Mark | None]:
    """First received, first accepted and last accepted, by receipt; accepted: what counts as things stand."""
    received = sorted(history.versions, key=lambda version: (version.received_at, version.number))
    accepted = [version for version in received if states.counts(history, version)]
    return _mark(received[:1]), _mark(accepted[:1]), _mark(accepted[-1:])


def _mark(versions: list[Version]) -> Mark | None:
    return Mark(version=versions[0].number, received_at=versions[0].received_at) if versions else None
