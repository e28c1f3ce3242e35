"""Compiled forms in memory. A published regime version never changes, so what is here is right whatever rolls back.

Only what was read from the database enters: a form of a transaction of ours that may yet roll back never does.
"""

from __future__ import annotations

from collections.abc import Iterable

from services.validator import metrics, store
from services.validator.rules.forms import CompiledForm, compile_form
from shared.db import Transaction
from shared.events import Form


class FormCache:
    """At most `limit` compiled forms by registry key (`regime/<code>/<regime_version>`); the oldest go first."""

    def __init__(self, limit: int = 5000) -> None:
        self._limit = limit
        self._forms: dict[str, CompiledForm] = {}

    async def load(self, tx: Transaction, keys: Iterable[str]) -> dict[str, CompiledForm]:
        """The forms of these keys, as far as they are known; one query for all that are not in memory."""
        wanted = set(keys)
        found = {key: form for key in wanted if (form := self._forms.get(key)) is not None}
        missing = sorted(wanted - found.keys())
        if missing:
            for key, json_text in (await store.forms(tx, missing)).items():
                found[key] = self._forms[key] = compile_form(Form.model_validate_json(json_text))
                metrics.FORMS_LOADED_TOTAL.inc()
            while len(self._forms) > self._limit:
                del self._forms[next(iter(self._forms))]
            metrics.FORMS_CACHED.set(len(self._forms))
        return found
