"""How much one report may hold. The report parser counts against these before anything is stored."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from shared.contract.events.fields import MAX_CODE_CHARACTERS, is_code
from shared.contract.events.registry import (
    MAX_CELL_CHARACTERS,
    MAX_CELLS,
    MAX_COLUMNS,
    MAX_FIGURE_CHARACTERS,
    MAX_FIGURES,
    MAX_NARRATIVE_CHARACTERS,
    MAX_NARRATIVES,
    MAX_TABLE_ROWS,
    MAX_TABLES,
)

__all__ = [
    "MAX_CELLS", "MAX_CELL_CHARACTERS", "MAX_CODE_CHARACTERS", "MAX_COLUMNS", "MAX_FIGURES",
    "MAX_FIGURE_CHARACTERS", "MAX_NARRATIVES", "MAX_NARRATIVE_CHARACTERS", "MAX_TABLES", "MAX_TABLE_ROWS",
    "are_codes", "is_code",
]  # fmt: skip

MAX_BODY_BYTES = 256 * 1024
MAX_NIL_REASON_CHARACTERS = 2_000
#: of one obligation: its facts travel as one document, which so many keep within an event
MAX_VERSIONS = 200
#: errors reported for one body: a client with thousands of wrong figures has made one mistake, not thousands
MAX_ERRORS = 100

#: The same few thousand codes come again and again: good ones are remembered, so that a form costs one comparison.
_MAX_REMEMBERED_CODES = 20_000
_good_codes: set[str] = set()


def are_codes(names: AbstractSet[str]) -> bool:
    """Whether all of the names can be codes."""
    if names <= _good_codes:
        return True
    if not all(map(is_code, names)):
        return False
    if len(_good_codes) >= _MAX_REMEMBERED_CODES:
        _good_codes.clear()
    _good_codes.update(names)
    return True
