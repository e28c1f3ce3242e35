"""Compiled forms in memory. A published regime version never changes, so what is here is right whatever rolls back.

Only what was read from the database enters: a form of a transaction of ours that may yet roll back never does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from operator import attrgetter

from services.validator import metrics, store
from services.validator.rules.forms import CompiledForm, FormError, compile_form
from services.validator.store import Governing
from shared.consuming.preparing import Snapshots
from shared.contract.events import Form, SubmissionReceived
from shared.contract.reporting_window import local_day


def form_name(body: SubmissionReceived) -> str:
    """The registry key of the regime version that a submission answers."""
    return f"regime/{body.regime}/{body.regime_version}"


class FormCache:
    """At most `limit` compiled forms by registry key (`regime/<code>/<regime_version>`); the oldest go first."""

    def __init__(self, limit: int = 5000) -> None:
        self._limit = limit
        self._forms: dict[str, CompiledForm | FormError] = {}

    async def governing(self, snapshots: Snapshots, bodies: Iterable[SubmissionReceived]) -> dict[str, Governing]:
        """By what the reports are judged, by `form_name`: their own form, or that of the version that replaced it.

        Asked every time: what stands here may have been replaced meanwhile. What is not known is left out. One query.
        """
        reports = list(bodies)
        if not reports:
            return {}
        names, agencies = ({of(body) for body in reports} for of in (form_name, attrgetter("agency")))
        day = local_day(min(body.received_at for body in reports))
        async with snapshots() as snapshot:
            found = await store.governing(snapshot, sorted(names), sorted(agencies), day)
        return {one.name: one for one in found}

    async def load(self, snapshots: Snapshots, keys: Iterable[str]) -> dict[str, CompiledForm | FormError]:
        """The forms of these keys, as far as they are known; one query for all that are not in memory.

        A form that was kept and can no longer be compiled is its error.
        """
        wanted = set(keys)
        found = {key: form for key in wanted if (form := self._forms.get(key)) is not None}
        missing = sorted(wanted - found.keys())
        if missing:
            async with snapshots() as snapshot:
                texts = await store.forms(snapshot, missing)
            for key, json_text in texts.items():
                try:
                    found[key] = self._forms[key] = compile_form(Form.model_validate_json(json_text))
                except FormError as error:
                    found[key] = self._forms[key] = error
                metrics.FORMS_LOADED_TOTAL.inc()
                await asyncio.sleep(0)  # a large form takes a while
            while len(self._forms) > self._limit:
                del self._forms[next(iter(self._forms))]
            metrics.FORMS_CACHED.set(len(self._forms))
        return found
