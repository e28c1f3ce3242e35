"""A request for a waiver and its decision. Pure: what is wrong with it, who may decide it, what a grant makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from msgspec import Struct, structs, to_builtins

from services.intake.registry import waivers
from services.intake.registry.gate import Proposal
from services.intake.registry.records import Registry
from services.intake.registry.source import Located, Source
from shared.access import Principal
from shared.access.rights import at_or_below, decides_waivers
from shared.contract.events import WaiverGranted
from shared.contract.events.fields import MAX_REASON_CHARACTERS, flaw_of_text
from shared.reports.classified import CLASSIFIED, is_classified
from shared.web.errors import FieldError

#: of one agency, that nobody has decided yet; agencies of one request
MAX_OPEN, MAX_AGENCIES = 50, 200

Decision = Literal["granted", "refused"]


class Asked(Struct, frozen=True):
    """What an agency asks for: that the rule counts against none of these agencies on these days of receipt."""

    regime: str
    rule: str
    agencies: tuple[str, ...]
    reason: str
    since: date
    until: date
    asked_by: str  # an officer or another person of the agency that asks


class WaiverRequest(Struct, frozen=True):
    """A request as it is stored. Moments are business time. granted_since, granted_until: as they were decided."""

    waiver_id: str
    agency: str
    made_by: str  # the principal
    asked: Asked
    asked_at: datetime
    decision: Decision | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    decision_reason: str | None = None
    granted_since: date | None = None
    granted_until: date | None = None


def faults(asked: Asked, agency: str, registry: Registry, today: date) -> list[FieldError]:
    """Everything that is wrong with what the agency asks; the registry says it in the words of its own records."""
    found = list(unfit_reason(asked.reason))
    if not _answers(asked.asked_by, agency, asked.regime, registry, today):
        found.append(
            FieldError(
                "/asked_by",
                "Người đề nghị phải là cán bộ đang giữ nhiệm vụ này ở cơ quan gửi đề nghị.",
                "Who asks is on duty for this regime at the agency that asks.",
                "Ghi mã cán bộ đầu mối hoặc thủ trưởng của cơ quan.",
                "Give the code of an officer or of the head of the agency.",
            )
        )
    waiver = _waiver("", asked, approved_by="")
    tree = registry.tree(today)
    found += [
        FieldError(
            f"/agencies/{place}",
            "Cơ quan này không phải cơ quan đề nghị hay cấp dưới.",
            "This is neither the agency that asks nor one below it.",
            "Để cơ quan đó, hoặc cơ quan cấp trên, tự đề nghị.",
            "Let that agency, or one above it, ask.",
        )
        for place, code in enumerate(asked.agencies)
        if code in registry.agencies and not at_or_below(code, agency, tree)
    ]
    # who asks is checked above: the registry also takes somebody of an agency higher up
    told = waivers.check_asked(Located(waiver, Source()), waiver, registry, today)
    return found + [
        FieldError(error.place, error.message, error.message_en, error.fix, error.fix_en)
        for error in told
        if error.place not in ("/reason", "/asked_by")
    ]


def _answers(person_id: str, agency: str, regime: str, registry: Registry, today: date) -> bool:
    """Whether this person may ask in the agency's name: as an officer, or by an office there that submits."""
    officer, person = registry.officers.get(person_id), registry.people.get(person_id)
    return (officer is not None and officer.answers(agency, regime)) or any(
        office.role in ("reporting_officer", "head", "deputy")
        and office.agency == agency
        and office.term.covers(today)
        and office.concerns(regime)
        for office, _ in (person.offices if person is not None else ())
    )


def unfit_reason(reason: str) -> list[FieldError]:
    """What is wrong with a reason: it must be text, and not classified."""
    if is_classified(reason):
        return [FieldError("/reason", *CLASSIFIED)]
    flaw = flaw_of_text(reason, MAX_REASON_CHARACTERS, least=1, lines=True)
    return [FieldError("/reason", *flaw)] if flaw else []


def may_decide(by: Principal, request: WaiverRequest, tree: Mapping[str, str | None], today: date) -> bool:
    """Whether the person holds an office over all agencies of the request that approves waivers."""
    return decides_waivers(by, (request.agency, *request.asked.agencies), request.asked.regime, tree, today)


def is_own(by: Principal, request: WaiverRequest) -> bool:
    """Whether this person asked, in whichever name: nobody decides what was asked for by oneself."""
    return by.id in (request.asked.asked_by, request.made_by)


def granted_term(request: WaiverRequest, until: date | None, today: date) -> tuple[date, date]:
    """First and last day of a grant: never a day that has begun, and within what was asked for."""
    last = request.asked.until if until is None else min(until, request.asked.until)
    return max(request.asked.since, today + timedelta(days=1)), last


def proposal(request: WaiverRequest, approved_by: str, since: date, until: date) -> Proposal:
    """The record of the registry that a grant makes, as the gate takes it."""
    asked = request.asked
    value: dict[str, Any] = {
        "waiver_id": request.waiver_id,
        "regime": asked.regime,
        "rule": asked.rule,
        "agencies": list(asked.agencies),
        "asked_by": asked.asked_by,
        "approved_by": approved_by,
        "reason": asked.reason,
        "since": since.isoformat(),
        "until": until.isoformat(),
    }
    return Proposal("waiver", value, Source())


def audited_request(request: WaiverRequest) -> dict[str, Any]:
    """What the audit trail says of a request; who made it and why stands beside it."""
    said = structs.asdict(request.asked) | {"agency": request.agency, "asked_at": request.asked_at}
    return _plain({name: value for name, value in said.items() if name != "reason"})


def audited_decision(request: WaiverRequest) -> dict[str, Any]:
    """What the audit trail says of a decision; who made it and why stands beside it."""
    names = ("decision", "decided_at", "granted_since", "granted_until")
    return _plain({name: getattr(request, name) for name in names})


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    said = {name: value.astimezone(UTC) if isinstance(value, datetime) else value for name, value in values.items()}
    plain: dict[str, Any] = to_builtins(said)
    return plain


def _waiver(waiver_id: str, asked: Asked, approved_by: str) -> WaiverGranted:
    return WaiverGranted.model_construct(
        waiver_id=waiver_id,
        regime=asked.regime,
        rule=asked.rule,
        agencies=asked.agencies,
        asked_by=asked.asked_by,
        approved_by=approved_by,
        reason=asked.reason,
        since=asked.since,
        until=asked.until,
        version=0,
    )
