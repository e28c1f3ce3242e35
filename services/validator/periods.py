"""The obligations of the periods that a report is compared with. Reports of a batch name few periods between them."""

from __future__ import annotations

from functools import lru_cache

from shared.contract.events import SubmissionReceived, obligation_key
from shared.contract.period import PeriodError, around, format_id, parse, preceding


def obligation_before(body: SubmissionReceived) -> str | None:
    """The obligation of the period before; None for ad hoc periods."""
    period = _before(body.period)
    return None if period is None else obligation_key(body.agency, body.regime, period)


def obligation_year_ago(body: SubmissionReceived) -> str | None:
    """The obligation of the same period of the year before; None where that year has none, as for some weeks 53."""
    period = _year_ago(body.period)
    return None if period is None else obligation_key(body.agency, body.regime, period)


@lru_cache(maxsize=1_024)
def periods_around(text: str) -> tuple[str, ...]:
    """The periods that contain this one, itself first, the shortest first; none of what is no period."""
    try:
        return tuple(found.id for found in around(parse(text)))
    except PeriodError:
        return ()


@lru_cache(maxsize=1_024)
def _before(text: str) -> str | None:
    try:
        return preceding(parse(text)).id
    except PeriodError:
        return None


@lru_cache(maxsize=1_024)
def _year_ago(text: str) -> str | None:
    try:
        period = parse(text)
        return (
            None
            if period.frequency == "adhoc"
            else parse(format_id(period.frequency, period.year - 1, period.number)).id
        )
    except PeriodError:
        return None
