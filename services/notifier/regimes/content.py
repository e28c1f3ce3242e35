"""What of a regime version is kept to tell what a newer one changes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.contract.events import RegimePublished

_KEPT = {
    "effective_to", "frequency", "submitter_kinds", "submitters", "submitters_except", "submitter_parents", "cutoff",
    "deadline", "certification", "review", "replaces_reason",
}  # fmt: skip


def content_of(regime: RegimePublished) -> dict[str, Any]:
    """What of a version a letter compares, as JSON: who reports, by when, and the items of its form."""
    form = regime.form
    items: list[tuple[Any, Sequence[Any]]] = [
        *((one, (one.unit, one.required, one.minimum, one.maximum, one.fraction_digits, one.scale, one.kind))
          for one in form.figures),
        *((one, (one.required, one.min_characters, one.max_characters, one.min_syllables, one.min_sentences))
          for one in form.narratives),
        *((one, (one.required, [column.model_dump(mode="json") for column in one.columns], one.min_rows, one.max_rows))
          for one in form.tables),
    ]  # fmt: skip
    return regime.model_dump(mode="json", include=_KEPT) | {
        "items": [
            {"code": one.code, "label": one.label, "label_en": one.label_en, "asks": [str(part) for part in asks]}
            for one, asks in items
        ]
    }
