"""The rules of the agencies above an agency: each exists and has its day, and on no day do they form a circle. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import pairwise

from services.intake.registry.records import Registry
from services.intake.registry.source import Located
from shared.contract.events import AgencyRegistered
from shared.contract.hierarchy import parents_of
from shared.runtime.file_errors import FileError

#: limit on the agencies above an agency; the State has six levels
_MOST_ABOVE = 20
#: limit on all agencies that ever stand above one, directly or not
_MOST_EVER = 200


def check(located: Located, agency: AgencyRegistered, registry: Registry) -> Iterator[FileError]:
    if agency.parent is not None and agency.parent not in registry.agencies:
        yield located.unknown("parent", "cơ quan cấp trên", "parent agency", agency.parent, "agency")
    for place, later in enumerate(agency.parents):
        if later.code not in registry.agencies:
            yield located.unknown(f"parents/{place}/code", "cơ quan cấp trên", "parent agency", later.code, "agency")
    yield from _days(located, agency)
    yield from _circles(located, agency, registry)


def _days(located: Located, agency: AgencyRegistered) -> Iterator[FileError]:
    days = [agency.opened_on, *(later.since for later in agency.parents)]
    for place, (before, since) in enumerate(pairwise(days)):
        if since <= before:
            yield located.error(
                f"parents/{place}/since",
                f"Ngày {since:%d/%m/%Y} không sau ngày {before:%d/%m/%Y} đứng trước nó.",
                f"The day {since:%d/%m/%Y} is not after {before:%d/%m/%Y}, which stands before it.",
                "Ghi các cấp trên theo thứ tự ngày, sau ngày thành lập; cấp trên đầu tiên ghi ở `parent`.",
                "Order them by day, after the opening; the first one stands in `parent`.",
            )


def _circles(located: Located, agency: AgencyRegistered, registry: Registry) -> Iterator[FileError]:
    """The first day on which the agencies above form a circle, or are too many.

    They change only on the days that one of them names, so no other day needs a look.
    """
    above = parents_of(agency.parent, agency.parents)
    days, seen, ahead = {date.min}, {agency.code}, [above]
    while ahead and len(seen) < _MOST_EVER:
        chain = ahead.pop()
        days.update(later.since for later in chain.later)
        for code in chain.ever():
            if code not in seen and code in registry.agencies:
                seen.add(code)
                ahead.append(registry.agencies[code].above)
    for day in sorted(days):
        found = _wrong_on(agency.code, registry, day)
        if found:
            place = sum(later.since <= day for later in agency.parents)
            yield located.error(f"parents/{place - 1}" if place else "parent", *found)
            return


def _wrong_on(code: str, registry: Registry, day: date) -> tuple[str, str, str, str] | None:
    ancestors = {code}
    above = registry.agencies[code].above.on(day)
    while above is not None and above in registry.agencies:
        if above in ancestors:
            return ("Quan hệ cấp trên bị vòng.", "The parents form a circle.", "Sửa `parent`.", "Correct `parent`.")
        if len(ancestors) > _MOST_ABOVE:
            return (
                f"Có hơn {_MOST_ABOVE} cấp trên.",
                f"It has more than {_MOST_ABOVE} agencies above it.",
                "Sửa `parent`.",
                "Correct `parent`.",
            )
        ancestors.add(above)
        above = registry.agencies[above].above.on(day)
    return None
