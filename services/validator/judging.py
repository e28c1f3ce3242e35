"""A batch is judged before its transaction opens, under a budget of CPU, and the event loop goes on meanwhile.

Small reports are judged here, in slices of a few milliseconds. What may be long, by its size or because its form has
been slow, is judged in a process beside. What does not fit into the batch's budget is left to be judged alone, after
its neighbours; what overruns its own budget there, or a tier's, is tried once more, and then could not be judged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any
from uuid import UUID

from services.validator import domain, metrics, store
from services.validator.apart import JUDGE, JudgeProcess
from services.validator.domain import Judgement, Overran, Overrun
from services.validator.form_cache import FormCache, form_name
from services.validator.reference_cache import ReferenceCache
from services.validator.references import NO_REFERENCES, References, day_of
from services.validator.rules.forms import CompiledForm, FormError
from services.validator.stopwatch import Limits
from shared.consuming.batch import Event
from shared.consuming.preparing import Prepared, Refusal, Snapshots
from shared.contract.events import SubmissionReceived, Tier
from shared.contract.reporting_window import local_day
from shared.runtime.clock import monotonic_seconds
from shared.runtime.cpu import work_seconds
from shared.runtime.trouble import InfrastructureTrouble
from shared.telemetry.logging import about_event, get_logger

log = get_logger()

#: forms remembered, and how often one overran lately to be called slow: once may be a pause of the interpreter
_SLOW_FORMS = 1000
_SLOW_TIMES = 3
_MOST_TIMES = 5
#: what a quick judgement takes off that count
_QUICK = 0.1
#: less than this is not worth a try
_LEAST_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Budget:
    """CPU seconds, but for `batch_wait_seconds`: so long by the clock a batch waits for the process beside at most.

    A report of `inline_bytes` costs milliseconds, whatever is in it. `tier_seconds`: of a report's, what the rules of a
    tier may take; one that is not named may take all.
    """

    report_seconds: float = 2.0
    batch_seconds: float = 1.0
    batch_wait_seconds: float = 2.0
    inline_bytes: int = 16 * 1024
    slice_seconds: float = 0.01
    slow_seconds: float = 0.1
    tier_seconds: Mapping[Tier, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tried:
    """A report that was judged for a dry run, and the CPU seconds it took; `apart`: in the process beside."""

    prepared: Prepared
    seconds: float
    apart: bool


class Judging:
    """Judges submissions for `handlers.record`: `batch.prepared` holds what became of those of known forms.

    That is a Judgement, or of one that could not be judged the Overrun.
    """

    def __init__(self, forms: FormCache, budget: Budget | None = None, *, module: str = JUDGE) -> None:
        self._forms = forms
        self._references = ReferenceCache()
        self._budget = budget or Budget()
        # apart from each other, so that what is judged alone keeps no batch waiting
        self._beside, self._beside_alone = JudgeProcess(module), JudgeProcess(module)
        self._overran: dict[str, float] = {}  # forms that overran lately, and about how often
        for result in ("judged", "later", "over_budget", "failed"):
            metrics.JUDGED_APART_TOTAL.labels(result)

    @property
    def looking(self) -> Limits:
        """What a report's rules about others may take, in the handler."""
        return Limits(tiers=self._budget.tier_seconds)

    async def start(self) -> None:
        """Processes begin when they are needed."""

    async def stop(self) -> None:
        await asyncio.gather(self._beside.close(), self._beside_alone.close())

    async def prepare(
        self, events: Sequence[Event[SubmissionReceived]], snapshots: Snapshots, *, apart: bool
    ) -> Prepared:
        """Judge what can be judged now. A submission whose form is not known is in none of the results."""
        prepared, spent = await self._prepared(events, snapshots, apart=apart)
        metrics.JUDGE_DURATION_SECONDS.observe(spent)
        return prepared

    async def try_one(self, event: Event[SubmissionReceived], snapshots: Snapshots) -> Tried:
        """Judge a report that is not submitted, as if it came alone.

        Raises what keeps the process beside from judging, where it is needed.
        """
        apart = _size(event) > self._budget.inline_bytes
        prepared, spent = await self._prepared([event], snapshots, apart=apart, tries=1)
        if event.id in prepared.alone:
            apart = True
            prepared, spent = await self._prepared([event], snapshots, apart=True, tries=1)
        return Tried(prepared, spent, apart)

    async def _prepared(
        self, events: Sequence[Event[SubmissionReceived]], snapshots: Snapshots, *, apart: bool, tries: int = 2
    ) -> tuple[Prepared, float]:
        """What was judged, and the CPU seconds it took. `tries`: of a report that is judged alone."""
        in_place = await self._forms.governing(snapshots, (event.body for event in events))
        governing = {event.id: one for event in events if (one := in_place.get(form_name(event.body))) is not None}
        names = {event_id: one.key for event_id, one in governing.items()}
        forms = await self._forms.load(snapshots, names.values())
        references = await self._references_of(events, names, forms, snapshots)
        prepared = Prepared()
        costly: list[Event[SubmissionReceived]] = []
        spent = await self._judge_here(events, names, forms, references, prepared, costly, apart=apart)
        wait_until = monotonic_seconds() + self._budget.batch_wait_seconds
        for event in costly:
            spent += await self._judge_beside(
                event,
                names[event.id],
                references.get(event.id, NO_REFERENCES),
                snapshots,
                prepared,
                spent,
                None if apart else wait_until,
                tries if apart else 1,
            )
            judgement, form = prepared.values.get(event.id), forms.get(names[event.id])
            if isinstance(judgement, Judgement) and isinstance(form, CompiledForm):  # rules do not travel
                prepared.values[event.id] = replace(
                    judgement, looks_back=form.looks_back, references=references.get(event.id, NO_REFERENCES)
                )
        for event in events:
            judgement = prepared.values.get(event.id)
            if isinstance(judgement, Judgement) and (waivers := governing[event.id].waivers):
                found = domain.in_force(waivers, event.body.agency, local_day(event.body.received_at))
                prepared.values[event.id] = domain.under_waivers(judgement, found)
        return prepared, spent

    async def _references_of(
        self,
        events: Sequence[Event[SubmissionReceived]],
        names: Mapping[UUID, str],
        forms: Mapping[str, CompiledForm | FormError],
        snapshots: Snapshots,
    ) -> dict[UUID, References]:
        """The reference tables that each event's form looks up, as of its period; only of events whose form does."""
        asked: dict[UUID, tuple[frozenset[str], date]] = {}
        for event in events:
            form = forms.get(names.get(event.id, ""))
            if isinstance(form, CompiledForm) and form.pack is not None and form.pack.looks_up and not event.body.nil:
                asked[event.id] = form.pack.looks_up, day_of(event.body)
        if not asked:
            return {}
        in_force = await self._references.of(
            snapshots, {(code, day) for codes, day in asked.values() for code in codes}
        )
        tables = await self._references.load(snapshots, in_force.values())
        found: dict[UUID, References] = {}
        for event_id, (codes, day) in asked.items():
            keys = {code: key for code in sorted(codes) if (key := in_force.get((code, day))) is not None}
            found[event_id] = References({code: tables[key] for code, key in keys.items()}, tuple(keys.values()))
        return found

    async def _judge_here(
        self,
        events: Sequence[Event[SubmissionReceived]],
        names: Mapping[UUID, str],
        forms: dict[str, CompiledForm | FormError],
        references: Mapping[UUID, References],
        prepared: Prepared,
        costly: list[Event[SubmissionReceived]],
        *,
        apart: bool,
    ) -> float:
        """Judge small reports; returns the CPU it took, and adds to `costly` what is to be judged beside."""
        budget = self._budget
        begun = slice_begun = before = work_seconds()
        waited = 0.0  # CPU of others between the slices
        for event in events:
            name = names.get(event.id)
            form = forms.get(name) if name is not None else None
            if name is None or form is None:
                continue
            if isinstance(form, FormError):
                prepared.refused[event.id] = Refusal("FormError", f"{name}: no submission can be judged by it: {form}")
                continue
            if apart or self._is_slow(name) or _size(event) > budget.inline_bytes:
                costly.append(event)
                continue
            if before - begun - waited > budget.batch_seconds:
                self._leave(event, prepared)
                continue
            body = event.body
            try:
                prepared.values[event.id] = domain.judge(
                    form,
                    body.figures,
                    body.narratives,
                    body.tables,
                    nil=body.nil,
                    period=body.period,
                    references=references.get(event.id, NO_REFERENCES),
                )
            except MemoryError:
                raise
            except Exception as error:
                prepared.refused[event.id] = Refusal(type(error).__name__, f"{type(error).__name__}: {error}")
            now = work_seconds()
            self._note_pace(name, now - before)
            before = now
            if now - slice_begun > budget.slice_seconds:
                await asyncio.sleep(0)
                before = slice_begun = work_seconds()
                waited += before - now
        return before - begun - waited

    async def _judge_beside(
        self,
        event: Event[SubmissionReceived],
        name: str,
        references: References,
        snapshots: Snapshots,
        prepared: Prepared,
        spent: float,
        wait_until: float | None,
        tries: int,
    ) -> float:
        """Judge one report in the process beside; returns the CPU it took. Without `wait_until` it is judged alone.

        What runs over is tried `tries` times: a process that begins anew has nothing left of what came before.
        """
        apart = wait_until is None
        process = self._beside_alone if apart else self._beside
        seconds = self._budget.report_seconds
        wait_seconds: float | None = None
        if wait_until is not None:
            seconds = min(seconds, self._budget.batch_seconds - spent)
            wait_seconds = wait_until - monotonic_seconds()
            process.wake()
            if not process.ready or min(seconds, wait_seconds) < _LEAST_SECONDS:
                self._leave(event, prepared)
                return 0

        async def form(name: str) -> str:
            async with snapshots() as snapshot:
                if name.startswith("reference/"):
                    return await store.reference(snapshot, name)
                return (await store.forms(snapshot, [name]))[name]

        report = event.record.value if event.record.value is not None else event.body.encode()
        try:
            async with asyncio.timeout(wait_seconds):
                answer = await process.judge(name, report, seconds, form, references.keys, self._budget.tier_seconds)
        except TimeoutError:  # the machine is busy: that is no fault of the report
            if apart:
                raise
            self._leave(event, prepared)
            return 0
        except Overran as over:
            if not apart:
                self._leave(event, prepared)
            elif tries > 1:
                return seconds + await self._judge_beside(
                    event, name, references, snapshots, prepared, spent, None, tries - 1
                )
            else:
                self._give_up(event, prepared, over.where)
            return seconds
        except (ChildProcessError, InfrastructureTrouble):
            metrics.JUDGED_APART_TOTAL.labels("failed").inc()
            if apart:
                raise
            self._leave(event, prepared)
            return 0
        if self._is_slow(name) and _size(event) <= self._budget.inline_bytes:
            self._note_pace(name, answer.seconds)
        if not answer.error_class:
            metrics.JUDGED_APART_TOTAL.labels("judged").inc()
            prepared.values[event.id] = answer.judgement()
        elif answer.error_class == "MemoryError":
            if apart:
                self._give_up(event, prepared, process.place._replace(limit="memory"))
            else:
                self._leave(event, prepared)
        else:
            metrics.JUDGED_APART_TOTAL.labels("failed").inc()
            prepared.refused[event.id] = Refusal(answer.error_class, answer.error)
        return answer.seconds

    def _give_up(self, event: Event[Any], prepared: Prepared, where: Overrun) -> None:
        metrics.JUDGED_APART_TOTAL.labels("over_budget").inc()
        prepared.values[event.id] = where
        with about_event(event.id, event.key, event.traceparent):
            log.warning(
                "A report could not be judged.", action="judging.over_budget", limit=where.limit, tier=where.tier,
                rule=where.rule, bytes=_size(event),
            )  # fmt: skip

    def _leave(self, event: Event[Any], prepared: Prepared) -> None:
        metrics.JUDGED_APART_TOTAL.labels("later").inc()
        prepared.alone.add(event.id)
        with about_event(event.id, event.key, event.traceparent):
            log.info("Leaving a report to be judged alone.", action="judging.left", bytes=_size(event))

    def _is_slow(self, name: str) -> bool:
        return self._overran.get(name, 0) >= _SLOW_TIMES

    def _note_pace(self, name: str, seconds: float) -> None:
        """A form that overran several times lately is judged beside, until it is quick again."""
        if seconds > self._budget.slow_seconds:
            self._overran[name] = min(_MOST_TIMES, self._overran.get(name, 0) + 1)
            log.warning("A form was slow to judge by.", action="judging.slow_form", form=name, cpu_seconds=seconds)
            if len(self._overran) > _SLOW_FORMS:
                del self._overran[next(iter(self._overran))]
        elif name in self._overran:
            self._overran[name] -= _QUICK
            if self._overran[name] <= 0:
                del self._overran[name]


def _size(event: Event[Any]) -> int:
    return len(event.record.value or b"")
