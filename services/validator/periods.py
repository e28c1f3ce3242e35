"""The obligations of the periods that a report is compared with."""

from __future__ import annotations

from shared.contract.events import SubmissionReceived, obligation_key
from shared.contract.period import PeriodError, format_id, parse, preceding


def obligation_before(body: SubmissionReceived) -> str | None:
    """The obligation of the period before; None for ad hoc periods."""
    try:
        return obligation_key(body.agency, body.regime, preceding(parse(body.period)).id)
    except PeriodError:
        return None


def obligation_year_ago(body: SubmissionReceived) -> str | None:
    """The obligation of the same period of the year before; None where that year has none, as for some weeks 53."""
    try:
        period = parse(body.period)
        if period.frequency == "adhoc":
            return None
        year_ago = parse(format_id(period.frequency, period.year - 1, period.number))
    except PeriodError:
        return None
    return obligation_key(body.agency, body.regime, year_ago.id)
