"""Plans every obligation again: its terms by regime, calendar and policies, and whether it should be there at all.

Scoring's own pure rules make the plan from intake's registry, so the comparison shows what was stored wrongly and
which changes scoring has not followed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from deploy.reconcile.differences import Difference, Teller
from deploy.reconcile.dossiers import Dossier
from deploy.reconcile.reference import Reference
from deploy.reconcile.transfers import was_handed_on
from services.scoring.calendar import CalendarGap, WorkingCalendar
from services.scoring.obligations.deadlines import (
    Agency,
    NoDeadline,
    Plan,
    Regime,
    Request,
    Unplannable,
    Unplanned,
    owes,
    plan_of_request,
    plan_period,
    plan_request,
    plans_between,
)
from services.scoring.obligations.domain import Obligation
from services.scoring.obligations.facts import Terms
from services.scoring.obligations.generator import Missing, at_least, noted_terms, terms_of
from services.scoring.obligations.resolve import RegistryPart, resolve
from services.scoring.obligations.transfers import heir_of
from services.scoring.scores.policy import PolicyBook
from shared.contract.events import SubmissionReceived, obligation_key
from shared.contract.period import Period, PeriodError, parse
from shared.contract.reporting_window import NoWindow, local_day, window_of

_BY = ("tính lại theo chế độ báo cáo, lịch, quy tắc", "planned again by regime, calendar and policies")
_WHERE = "scoring.obligations"
_DECODER = msgspec.json.Decoder(Terms)
#: terms that stay where an earlier deadline came too late to count
_KEPT = ("deadline", "remind_at", "calendar_version", "policy_version", "provisional")
#: terms that stay where a version made them worse too late to count
_NEVER_WORSE = ("locks_at", "grace_until", "certification")


@dataclass(frozen=True, slots=True)
class _Probe:
    """The part of a report that decides about its obligation."""

    agency: str
    regime: str
    regime_version: int
    period: str
    received_at: datetime


def terms(obligation: Obligation, dossier: Dossier, reference: Reference) -> Iterator[Difference]:
    """Compare the terms of an obligation with its plan. Who owes it after a closing: transfers.py."""
    told = Teller("deadline", _WHERE, obligation.key, *_BY)
    part, book = reference.part(), reference.book
    if part is None or book is None or obligation.key.count("/") != 2:
        return
    stored = obligation.terms
    planned = _planned(obligation, part, reference)
    if planned is None:
        if not obligation.facts.versions and stored.owed and not stored.origins:
            yield Teller("owed", _WHERE, obligation.key, *_BY).surplus()
        return
    open_still = reference.generation is not None and stored.deadline >= reference.generation["complete_at"]
    handed = was_handed_on(obligation, dossier)
    if not handed:
        yield from _owed(obligation, planned, open_still, reference)
        yield from _fallen(obligation, part, reference)
    wanted = _as_stored(planned, stored)
    if stored == wanted:
        return
    choices = list(_choices(obligation, part, book, reference))
    agency = reference.agencies.get(obligation.agency)
    late = handed or _was_owed_again(dossier) or (agency is not None and agency.regrouped_at is not None)
    if late and any(_with_notice(stored, choice) for choice in [wanted, *choices]):
        return
    if not open_still and stored in choices:  # only open obligations follow newer rules
        return
    if not stored.owed:  # it followed them until it was no longer owed, or no version governs it
        if stored in choices:
            return
    elif wanted.deadline < stored.deadline:
        # an earlier deadline counts only if nobody relied on the old one
        kept = {
            name: getattr(choice, name)
            for choice in choices
            if choice.deadline == stored.deadline and choice.remind_at <= stored.remind_at
            for name in _KEPT
        }
        if stored.deadline in reference.request_deadlines.get(obligation.period, ()):
            kept = {name: getattr(stored, name) for name in _KEPT}
        if kept:
            wanted = replace(wanted, **{name: getattr(stored, name) for name in _KEPT if name != "deadline"})
            wanted = replace(wanted, deadline=stored.deadline)
    if stored.owed:
        better = at_least(wanted, stored, stored.policy_version)
        for name in _NEVER_WORSE:
            if getattr(better, name) == getattr(stored, name) in {getattr(choice, name) for choice in choices}:
                wanted = replace(wanted, **{name: getattr(stored, name)})
    yield from told.document(_plain(stored), _plain(wanted), "terms")


def _was_owed_again(dossier: Dossier) -> bool:
    """Whether it fell before, so that the agency had notice when it was owed again."""
    return any(b'"owed_again"' in event["body"] for event in dossier.changed)


def _with_notice(stored: Terms, choice: Terms) -> bool:
    """Whether these are the terms, but for a later deadline: whoever comes to owe a report late has notice."""
    return choice.deadline <= stored.deadline and stored == choice.due_at(stored.deadline)


def _owed(obligation: Obligation, planned: Terms, open_still: bool, reference: Reference) -> Iterator[Difference]:
    stored, state = obligation.terms.owed, obligation.state
    if stored == planned.owed:
        return
    told = Teller("owed", _WHERE, obligation.key, *_BY)
    agency = reference.agencies.get(obligation.agency)
    closed = agency is not None and agency.closed_on is not None and state.answer is None
    untouched = open_still and state.standing in ("nothing_sent", "returned") and not state.overdue
    request = reference.requests.get(obligation.period)
    withdrawn = request is not None and request.withdrawn_at is not None
    if (stored and (closed or untouched)) or (not stored and open_still and not withdrawn):
        yield told.difference("terms.owed", stored, planned.owed)


def _fallen(obligation: Obligation, part: RegistryPart, reference: Reference) -> Iterator[Difference]:
    """Name a report that nobody owes since its agency closed, though the record names an heir."""
    closing = reference.closings.get(obligation.agency)
    terms = obligation.terms
    if closing is None or terms.owed or obligation.facts.versions or heir_of(obligation, closing) is None:
        return
    agencies = {
        code: dataclasses.replace(agency, closed_on=None) if code == obligation.agency else agency
        for code, agency in part.agencies.items()
    }
    asked = _planned(obligation, dataclasses.replace(part, agencies=agencies), reference)
    if (
        asked is not None
        and asked.owed
        and asked.withdrawn_at is None
        and local_day(asked.deadline) > closing.closed_on
    ):
        yield Teller("owed", _WHERE, obligation.key, *_BY).difference("terms.heir", terms.heir, closing.heir)


def _planned(obligation: Obligation, part: RegistryPart, reference: Reference) -> Terms | None:
    """Return the terms by the rules in force now; None where they give no obligation."""
    probe = _Probe(
        obligation.agency, obligation.regime, obligation.terms.regime_version, obligation.period,
        obligation.terms.opens_at,
    )  # fmt: skip
    try:
        found = resolve(_as_report(probe), part, reference.rules)
    except (ValueError, LookupError):
        return None
    return found.terms if isinstance(found, Missing) else None


def _as_report(probe: _Probe) -> SubmissionReceived:
    return probe  # type: ignore[return-value] # resolve uses only what a probe has


def _choices(obligation: Obligation, part: RegistryPart, book: PolicyBook, reference: Reference) -> Iterator[Terms]:
    """Yield the terms under every version of its regime and every loaded calendar."""
    stored = obligation.terms
    try:
        period = parse(obligation.period)
    except PeriodError:
        return
    request = part.requests.get(obligation.period)
    requests = [] if request is None else _every_deadline(request, reference)
    for version in part.regimes.get(obligation.regime, ()):
        for calendar in reference.calendars.values():
            for plan in _plans_under(version, period, requests, calendar):
                yield _as_stored(terms_of(plan, book.governing(plan.due_on).version), stored)


def _every_deadline(request: Request, reference: Reference) -> list[Request]:
    """The request with each deadline that it ever had."""
    deadlines = {request.deadline, *reference.request_deadlines.get(request.request_id, ())}
    return [dataclasses.replace(request, deadline=deadline) for deadline in sorted(deadlines)]


def _plans_under(
    version: Regime, period: Period, requests: Sequence[Request], calendar: WorkingCalendar
) -> Iterator[Plan]:
    """Yield the plans of one version by one calendar: of each of its deadlines, or of each that a request ever had."""
    possible = (NoDeadline, CalendarGap, PeriodError, Unplannable)
    for request in requests:
        with suppress(*possible):
            yield plan_request(version, request, calendar)
    if not requests:
        for override in range(len(version.deadline.overrides) + 1):
            with suppress(*possible):
                yield plan_period(version, period, calendar, override)


def _as_stored(planned: Terms, stored: Terms) -> Terms:
    """Return the planned terms with what other comparisons look at; what is not owed follows no withdrawal."""
    withdrawn_at = planned.withdrawn_at if stored.owed else stored.withdrawn_at
    return replace(planned, owed=stored.owed, origins=stored.origins, heir=stored.heir, withdrawn_at=withdrawn_at)


class Owing:
    """Finds the obligations that an agency should have and has not, agency by agency in the order of the keys."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._plans: list[tuple[Plan, datetime | None]] = list(_plans(reference))
        self._agency = ""
        self._missing: set[str] = set()
        self._asked: set[str] = set()

    def seen(self, dossier: Dossier) -> Iterator[Difference]:
        """Note an obligation; yield what the agencies before it lack."""
        if dossier.agency != self._agency:
            yield from self._end_agency()
            self._agency = dossier.agency
            self._missing = self._owed_by(self._agency)
            self._asked.add(self._agency)
        if dossier.obligations:
            self._missing.discard(dossier.key)

    def end(self) -> Iterator[Difference]:
        """Yield what the last agency lacks, and the agencies of which nothing was seen."""
        yield from self._end_agency()
        for code in sorted(self._reference.agencies.keys() - self._asked):
            self._missing = self._owed_by(code)
            yield from self._end_agency()

    def lacked(self, keys: Iterable[str]) -> Iterator[Difference]:
        """Yield those of these missing keys that should be there."""
        for key in keys:
            if key in self._owed_by(key.split("/", 1)[0]):
                yield Teller("owed", _WHERE, key, *_BY).missing()

    def _end_agency(self) -> Iterator[Difference]:
        for key in sorted(self._missing):
            yield Teller("owed", _WHERE, key, *_BY).missing()
        self._missing = set()

    def _owed_by(self, code: str) -> set[str]:
        agency = self._reference.agencies.get(code)
        if agency is None:
            return set()
        known_at = self._reference.changed_at[f"agency/{code}"]
        return {
            obligation_key(code, plan.regime, plan.period)
            for plan, since in self._plans
            if (since is None or plan.deadline >= max(since, known_at)) and self._owes(agency, plan)
        }

    def _owes(self, agency: Agency, plan: Plan) -> bool:
        versions = self._reference.regimes.get(plan.regime, ())
        governing = next((entry for entry in versions if entry.regime_version == plan.regime_version), None)
        if governing is None:
            return False
        closing = self._reference.closings.get(agency.code)
        if closing is not None and closing.heir is not None and plan.opens_on <= closing.closed_on:
            agency = dataclasses.replace(agency, closed_on=None)  # it owed it until it was handed on
        return owes(
            agency, governing, plan, self._reference.tree, self._reference.requests.get(plan.period)
        )  # fmt: skip


def plans(reference: Reference) -> Iterator[Difference]:
    """Compare the periods noted as generated with their plans."""
    book, calendar = reference.book, reference.current
    if book is None or calendar is None:
        return
    noted = {(row["regime"], row["period"]): row for row in reference.tables["scoring", "plans"]}
    for (regime, period), row in noted.items():
        told = Teller("deadline", "scoring.plans", f"{regime}/{period}", *_BY, subject="reference")
        plans_of = _plans_of(regime, period, reference, calendar)
        request = reference.requests.get(period)
        if not plans_of:
            if request is None or request.withdrawn_at is None:  # it was generated before it was withdrawn
                yield told.surplus()
            continue
        complete_at = reference.generation["complete_at"] if reference.generation is not None else None
        still = [plan for plan in plans_of if complete_at is not None and plan.deadline >= complete_at]
        if not still:
            continue
        planned = {plan.override: terms_of(plan, book.governing(plan.due_on).version) for plan in still}
        try:
            stored = {made.override: made for made in map(_DECODER.decode, row["terms"].split("\n"))}
        except ValueError as error:
            yield told.difference("terms", str(error), noted_terms(planned.values()))
            continue
        for override, wanted in planned.items():
            found = stored.get(override)
            yield from told.document(_plain(found) if found is not None else None, _plain(wanted), "terms")
        yield from told.values(row, {"regime_version": still[0].regime_version})
    if reference.generation is None:
        return
    for plan, since in _plans(reference):
        if since is None and plan.override == 0 and (plan.regime, plan.period) not in noted:
            key = f"{plan.regime}/{plan.period}"
            yield Teller("deadline", "scoring.plans", key, *_BY, subject="reference").missing()


def _plans_of(regime: str, period: str, reference: Reference, calendar: WorkingCalendar) -> list[Plan]:
    """The plans of a period: one for each of its deadlines that can be computed."""
    versions, request = reference.regimes.get(regime, []), reference.requests.get(period)
    try:
        parsed = parse(period)
        window = window_of(versions, parsed, request)
        if isinstance(window, NoWindow):
            return []
        if request is not None:
            return [plan_request(window.governing, request, calendar)] if request.regime == regime else []
    except (PeriodError, NoDeadline, Unplannable, CalendarGap):
        return []
    found = []
    for override in range(len(window.governing.deadline.overrides) + 1):
        with suppress(PeriodError, NoDeadline, Unplannable, CalendarGap):
            found.append(plan_period(window.governing, parsed, calendar, override))
    return found


def _plans(reference: Reference) -> Iterator[tuple[Plan, datetime | None]]:
    """Yield the plans whose obligations must exist: open ones, and (with the hour since when) those open before.

    How far ahead scoring generates is its own setting, so only what has opened by then must exist. Scoring never
    generates what was due before its rule was known; this shows only where business time is the system's.
    """
    generation, calendar = reference.generation, reference.current
    if generation is None or calendar is None:
        return
    since, until = generation["started_at"], generation["complete_at"]
    found: list[tuple[Plan | Unplanned | None, datetime]] = []
    for code, versions in reference.regimes.items():
        known_at = max(reference.changed_at[f"regime/{code}/{version.regime_version}"] for version in versions)
        found += [(plan, known_at) for plan in plans_between(versions, since, until, calendar)]
    for request in reference.requests.values():
        plan = plan_of_request(reference.regimes.get(request.regime, []), request, since, until, calendar)
        found.append((plan, reference.changed_at[f"request/{request.request_id}"]))
    for plan, known_at in found:
        if isinstance(plan, Plan):
            if plan.deadline >= until:
                yield plan, None
            elif reference.business_is_system_time:
                yield plan, max(known_at, since)


def _plain(made: Terms) -> Mapping[str, Any]:
    return {name: msgspec.to_builtins(getattr(made, name)) for name in made.__struct_fields__}
