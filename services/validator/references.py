"""Reference tables (danh mục tra cứu) as formulas look them up, and which day's a report is judged by. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from services.validator.formula import Value, written
from services.validator.formula.context import Reference
from shared.contract.events import ReferenceColumn, SubmissionReceived
from shared.contract.period import PeriodError, last_day, parse
from shared.contract.reporting_window import local_day

_CELLS: dict[str, Callable[[str], Value]] = {"number": Decimal, "date": date.fromisoformat, "text": str}


@dataclass(frozen=True, slots=True)
class References:
    """The reference tables that one report is judged by, by code; `keys`: which versions these are."""

    tables: Mapping[str, Reference] = field(default_factory=dict)
    keys: tuple[str, ...] = ()  # of the registry: reference/DVHC-XA/2

    @property
    def versions(self) -> tuple[str, ...]:
        """As a verdict names them: `DVHC-XA/2`."""
        return tuple(key.partition("/")[2] for key in self.keys)


NO_REFERENCES = References()


def reference_of(columns: Sequence[ReferenceColumn], rows: Iterable[Sequence[str | None]]) -> Reference:
    """The table by its keys; the cells that are not blank as values of their columns."""
    found: dict[str, dict[str, Value | None]] = {}
    for row in rows:
        cells: dict[str, Value | None] = {
            column.code: _CELLS[column.type](cell) for column, cell in zip(columns, row, strict=True) if cell
        }
        key = cells.get(columns[0].code)
        if key is not None:
            found[written(key)] = cells
    return found


def day_of(body: SubmissionReceived) -> date:
    """The day whose reference tables count for a report: its period's last; of ad hoc ones, the day it was received."""
    try:
        return last_day(parse(body.period))
    except PeriodError:
        return local_day(body.received_at)


def read_stored(text: str) -> tuple[list[ReferenceColumn], list[list[str | None]]]:
    """Columns and rows of a table as it is stored: `{"columns": […], "rows": […]}`."""
    stored = json.loads(text)
    return [ReferenceColumn.model_validate(column) for column in stored["columns"]], stored["rows"]
