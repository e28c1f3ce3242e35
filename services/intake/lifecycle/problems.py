"""Why a step is refused: what is possible now, and who may take it."""

from __future__ import annotations

from services.intake.lifecycle import table
from services.intake.lifecycle.deciding import Faulty, Impossible, NotYours
from services.intake.lifecycle.states import Taken
from services.intake.lifecycle.views import possible_steps
from shared.web.errors import FORBIDDEN, FieldError, Problem, describe, unprocessable
from shared.web.idempotency import KEY_REUSED

NOT_POSSIBLE = describe(
    "step-not-possible",
    409,
    "Chưa thực hiện được bước này",
    "This step is not possible now",
    "Trạng thái hiện tại không cho phép bước này; `possible` liệt kê những bước làm được và ai được làm.",
    "The present state does not admit this step; `possible` lists the steps that it admits, and who may take them.",
)


def not_possible(found: Impossible) -> Problem:
    vi, en = table.STATES[found.state]
    can = ", ".join(row.name[0] for row in found.possible) or "không có"
    can_en = ", ".join(row.name[1] for row in found.possible) or "nothing"
    return Problem.of(
        NOT_POSSIBLE,
        f"{found.why[0]} Trạng thái: {vi}. Làm được bây giờ: {can}.",
        f"{found.why[1]} State: {en}. Possible now: {can_en}.",
        extensions={
            "state": found.state,
            "possible": [row.model_dump() for row in possible_steps(list(found.possible))],
        },
    )


def not_yours(found: NotYours) -> Problem:
    row = found.transition
    vi, en = table.who(row.who)
    return Problem.of(
        FORBIDDEN,
        f"Bước “{row.name[0]}” do người khác thực hiện: {vi}; khóa cần quyền {row.scope}.",
        f"The step “{row.name[1]}” is taken by others: {en}; with a key of scope {row.scope}.",
        extensions={"who": list(row.who)},
    )


def faulty(found: Faulty) -> Problem:
    return unprocessable([FieldError(*fault) for fault in found.faults])


def key_reused(step: Taken) -> Problem:
    return Problem.of(KEY_REUSED, extensions={"step_id": str(step.step_id)})
