"""A draft is what the `holidays` package knows, written out: a person adds the announced swaps and gives it a version.

The service never asks the package itself, or a new release of it would move deadlines behind everybody's back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from importlib.metadata import version

import holidays
import yaml

from services.scoring.calendar import lunar
from shared.runtime.arguments import CommandParser, whole

#: years that a draft may cover
FIRST_DRAFT_YEAR, LAST_DRAFT_YEAR = 1990, 2099


def draft_days(first_year: int, last_year: int) -> list[dict[str, object]]:
    """Days that differ from their weekday, by date: holidays on weekdays, and weekend days at work."""
    days: dict[date, dict[str, object]] = {}
    for year in range(first_year, last_year + 1):
        vietnamese = holidays.country_holidays("VN", years=year, language="vi")
        english = holidays.country_holidays("VN", years=year, language="en_US")
        for day, name in vietnamese.items():
            if day.weekday() < 5:
                vi, en = lunar.names(day) or (name, english.get(day, name))
                days[day] = {"day": day, "name": vi, "name_en": en}
        for day in vietnamese.weekend_workdays:
            if day.year == year:
                days[day] = {"day": day, "work": True, "name": "Làm bù", "name_en": "Make-up working day"}
    return [days[day] for day in sorted(days)]


def main(argv: Sequence[str]) -> int:
    """Print a calendar draft for the given years."""
    parser = CommandParser(
        prog="python -m services.scoring calendar-draft", description="Lịch làm việc dự thảo / draft calendar (YAML)"
    )
    parser.add_argument("first_year", type=whole(FIRST_DRAFT_YEAR, LAST_DRAFT_YEAR), help="năm đầu / first year")
    parser.add_argument("last_year", type=whole(FIRST_DRAFT_YEAR, LAST_DRAFT_YEAR), help="năm cuối / last year")
    years = parser.parse_args(list(argv))
    if years.first_year > years.last_year:
        parser.error("last_year: trước first_year / is before first_year")
    head = {
        "version": "VN-DRAFT",
        "revision": 0,
        "zone": "Asia/Ho_Chi_Minh",
        "source": f"holidays {version('holidays')} (VN)",
        "first_year": years.first_year,
        "last_year": years.last_year,
        "years": [{"year": year, "status": "provisional"} for year in range(years.first_year, years.last_year + 1)],
        "days": draft_days(years.first_year, years.last_year),
    }
    print(yaml.safe_dump(head, allow_unicode=True, sort_keys=False, width=200), end="")  # noqa: T201 - its output
    return 0
