"""Finds the regime versions that bind an agency, and describes their deadlines in words; pure.

Scoring computes the actual moments, since it keeps the calendar; this module only describes the rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from services.intake.registry.records import Agency, Registry
from services.intake.submissions import admission
from services.intake.submissions.admission import Admitted
from shared.contract import period as periods
from shared.contract.addressing import addresses, closed_before, override_of, submits
from shared.contract.deadline_words import rule_words, with_more_days
from shared.contract.events import RegimePublished, RequestIssued
from shared.reports.report_parser import Report
from shared.runtime.clock import LOCAL_ZONE

#: current (đang áp dụng), next (sắp áp dụng), past (hết hiệu lực)
Status = Literal["current", "next", "past"]

#: how many of an ad hoc regime's newest requests are tried for an example
MAX_REQUESTS_TRIED = 20


@dataclass(frozen=True, slots=True)
class Binding:
    """A regime version that binds the agency, and whether it is current, next or past."""

    regime: RegimePublished
    status: Status


@dataclass(slots=True)
class Addressed:
    """An index of requests by regime and by the agencies they name, built once per revision of the registry."""

    revision: int = -1
    _by_regime: dict[str, list[RequestIssued]] = field(default_factory=dict)  # newest first
    _named: dict[str, set[str]] = field(default_factory=dict)  # agency -> regimes

    def be_of(self, registry: Registry, revision: int) -> Addressed:
        if revision != self.revision:
            self._by_regime, self._named = {}, {}
            for request in sorted(registry.requests.values(), key=lambda issued: issued.issued_at, reverse=True):
                self._by_regime.setdefault(request.regime, []).append(request)
                for agency in request.agencies:
                    self._named.setdefault(agency, set()).add(request.regime)
            self.revision = revision
        return self

    def regimes_of(self, agency: str) -> set[str]:
        """The regimes with a request that names the agency."""
        return self._named.get(agency, set())

    def requests(self, regime: str, agency: str) -> Iterable[str]:
        """The regime's newest requests that address all its submitters or name the agency."""
        found = 0
        for request in self._by_regime.get(regime, ()):
            if addresses(request.agencies, agency):
                yield request.request_id
                found += 1
                if found == MAX_REQUESTS_TRIED:
                    return


def status_of(regime: RegimePublished, versions: Iterable[RegimePublished], today: date) -> Status:
    """Whether the version is current on the day, next or past."""
    if regime.effective_from > today:
        return "next"
    in_force = _newest(version for version in versions if version.effective_from <= today)
    if in_force is not regime or (regime.effective_to is not None and regime.effective_to < today):
        return "past"
    return "current"


def binding(agency: Agency, registry: Registry, addressed: Addressed, today: date) -> list[Binding]:
    """The regime versions that bind the agency today or later, by code and version. A closed agency has none."""
    if closed_before(agency, today):
        return []
    may, named = _answering(agency, registry, addressed)
    found = []
    for code, versions in sorted(registry.regimes.items()):
        for _, regime in sorted(versions.items()):
            day = max(today, regime.effective_from)
            if code in named or any(submits(other, regime, registry.above(other.code, day)) for other in may):
                status = status_of(regime, versions.values(), today)
                if status != "past":
                    found.append(Binding(regime, status))
    return found


def versions_for(agency: Agency, registry: Registry, addressed: Addressed, code: str) -> dict[int, RegimePublished]:
    """Every version of the regime under which the agency ever reports; empty if the regime does not bind it."""
    may, named = _answering(agency, registry, addressed)
    return {
        number: regime
        for number, regime in registry.regimes.get(code, {}).items()
        if code in named or any(submits(other, regime, registry.ever_above(other.code)) for other in may)
    }


def _answering(agency: Agency, registry: Registry, addressed: Addressed) -> tuple[tuple[Agency, ...], set[str]]:
    """The agency with those whose duties it inherited, and the regimes under which a request names one of them."""
    may = (agency, *registry.inherits_from(agency.code))
    return may, set().union(*(addressed.regimes_of(other.code) for other in may))


def chosen(versions: Sequence[RegimePublished], today: date) -> RegimePublished:
    """The current version, else the next one, else the last."""
    in_force = _newest(version for version in versions if version.effective_from <= today)
    if in_force is not None and (in_force.effective_to is None or in_force.effective_to >= today):
        return in_force
    coming = [version for version in versions if version.effective_from > today]
    if coming:
        return min(coming, key=lambda version: (version.effective_from, -version.regime_version))
    return in_force or versions[0]


def open_period(
    regime: RegimePublished,
    agency: Agency,
    officer: str,
    registry: Registry,
    candidates: Iterable[str],
    now: datetime,
) -> str | None:
    """The first of the periods for which intake takes a report by this version now.

    After the candidates it tries the last period before today's and today's.
    """
    tried = list(candidates)
    if regime.frequency != "adhoc":
        current = periods.containing(now.astimezone(LOCAL_ZONE).date(), regime.frequency, regime.cutoff)
        tried += [periods.preceding(current).id, current.id]
    for period in tried:
        report = Report(regime.code, period, officer, False, {}, {})
        if admission.check(report, agency.code, registry, now) == Admitted(regime.regime_version):
            return period
    return None


def _newest(versions: Iterable[RegimePublished]) -> RegimePublished | None:
    return max(versions, key=lambda version: (version.effective_from, version.regime_version), default=None)


def override_for(agency: Agency, regime: RegimePublished, registry: Registry, day: date) -> int:
    """The place, from 1, of the deadline override that holds for the agency on the day; 0: the regime's own deadline"""
    overrides = regime.deadline.overrides
    return override_of(agency, overrides, registry.above(agency.code, day)) if overrides else 0


def deadline_words(regime: RegimePublished, override: int = 0) -> tuple[str, str]:
    """The rule for the deadline of a period, in Vietnamese and English; `override`: that of these agencies."""
    if not override:
        return rule_words(regime.deadline)
    given = regime.deadline.overrides[override - 1]
    return with_more_days(rule_words(given.deadline or regime.deadline), given.extra_working_days or 0)
