"""Verdicts are judged again once reports that their rules look at are accepted: a new revision if something changes.

Nobody is returned by it. What a rule would return for asks for an explanation, and returned reports are left as they
are: they are sent again. A report is queued in the transaction that accepts what it looks at, and once by itself, since
two reports may be accepted at the same moment without seeing each other; it is judged when every transaction that ran
then has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.validator import metrics, store
from services.validator.domain import Judgement, in_force, without
from services.validator.form_cache import FormCache, form_name
from services.validator.others import Others
from services.validator.reference_cache import ReferenceCache
from services.validator.references import References
from services.validator.rules.forms import CompiledForm
from services.validator.rules.packs import Pack
from services.validator.stopwatch import Limits
from shared.consuming.batch import Batch
from shared.contract.events import Finding, SubmissionReceived, VerdictReached, WaiverGranted
from shared.contract.ids import new_id
from shared.contract.reporting_window import local_day
from shared.outbox import publish
from shared.postgres.database import Database, Transaction
from shared.postgres.each_alone import each_alone
from shared.runtime.clock import Clock, monotonic_seconds
from shared.telemetry.logging import get_logger

log = get_logger()

#: reports judged again in one transaction: half a second at most, by what the rules about others may take of each
#: (rules/pack_compiler.py, MAX_EFFORT_BACK), and 25,000 reports of agencies beneath
SWEPT = 25
_JUST_AFTER = timedelta(microseconds=1)
#: what cannot be judged, or takes too long alone, is tried again after so long; meanwhile it stays in the queue and
#: stops nobody
SET_ASIDE_SECONDS = 600.0


async def note(
    batch: Batch[SubmissionReceived],
    judgements: Mapping[UUID, Judgement],
    fresh: Sequence[VerdictReached],
    tx: Transaction,
) -> None:
    """Keep what reports that are accepted now look at. Those that look at them are queued with their verdicts."""
    # by obligation: a batch may hold two versions of a report
    accepted = sorted((verdict for verdict in fresh if verdict.outcome == "accepted"), key=_version)
    newest = {verdict.obligation: verdict.submission_id for verdict in accepted}
    rows = [
        store.Looking(
            event.body.submission_id,
            event.body.obligation,
            event.body.version,
            {"figures": dict(event.body.figures), "tables": event.body.tables, "narratives": event.body.narratives},
            [finding.model_dump(mode="json") for finding in judgement.of_others],
            judgement.looked_at,
        )
        for event in batch
        if newest.get(event.body.obligation) == event.body.submission_id
        and (judgement := judgements.get(event.id)) is not None
        and judgement.looked_at
        and not judgement.findings_truncated
    ]
    await store.note_looking(tx, rows)


def _version(verdict: VerdictReached) -> int:
    return verdict.version


class JudgingAgain:
    """The sweep over the queue."""

    def __init__(self, database: Database, forms: FormCache, clock: Clock, limits: Limits | None = None) -> None:
        self._database = database
        self._forms = forms
        self._references = ReferenceCache()
        self._clock = clock
        self._limits = limits or Limits()
        self._set_aside: dict[UUID, float] = {}  # until when, monotonic

    async def tick(self, tx: Transaction) -> int:
        """Judge some of the queue again. Returns how many."""
        await store.stamp_queue(tx)
        waited = monotonic_seconds()
        self._set_aside = {key: until for key, until in self._set_aside.items() if until > waited}
        queued = await store.take_queue(tx, SWEPT, without=self._set_aside)
        changed, failed = await each_alone(tx, queued, lambda rows: self._judge(rows, tx))
        for row, error in failed:
            key = row.verdict["submission_id"]
            self._set_aside[key] = waited + SET_ASIDE_SECONDS
            log.error(
                "A report could not be judged again; it is tried again later.",
                action="again.set_aside",
                obligation=row.verdict["obligation"],
                submission=key,
                error=f"{type(error).__name__}: {error}",
            )
        await store.queue_again(tx, (row.verdict["submission_id"] for row, _ in failed))
        metrics.JUDGED_AGAIN_TOTAL.labels("changed").inc(sum(changed))
        metrics.JUDGED_AGAIN_TOTAL.labels("same").inc(len(queued) - len(failed) - sum(changed))
        metrics.JUDGED_AGAIN_TOTAL.labels("failed").inc(len(failed))
        return len(queued)

    async def _judge(self, queued: Sequence[store.Queued], tx: Transaction) -> int:
        """Judge these again; return how many verdicts changed."""
        bodies = {row.verdict["submission_id"]: _body(row) for row in queued}
        packs, waivers = await self._packs(queued, bodies)
        now = self._clock.now()
        asked = [(bodies[key], pack) for key, pack in packs.items()]
        others = await Others.load(tx, asked)
        changed: list[tuple[store.Queued, VerdictReached, Judgement]] = []
        for row in queued:
            key = row.verdict["submission_id"]
            if (pack := packs.get(key)) is None:
                continue
            await asyncio.sleep(0)  # a rule may cost milliseconds: requests have their turn between reports
            base = await self._base(row, pack, waivers[key])
            judgement = others.judge(base, bodies[key], self._limits, again=now)
            if [finding.model_dump(mode="json") for finding in judgement.of_others] != row.said:
                changed.append((row, _revised(row, judgement, now), judgement))
        await store.replace_verdicts(
            tx,
            [
                (verdict, _published(row), [finding.model_dump(mode="json") for finding in judgement.of_others],
                 judgement.looked_at)
                for row, verdict, judgement in changed
            ],
        )  # fmt: skip
        await publish(tx, [verdict for _, verdict, _ in changed])
        return len(changed)

    async def _packs(
        self, queued: Sequence[store.Queued], bodies: Mapping[UUID, SubmissionReceived]
    ) -> tuple[dict[UUID, Pack], dict[UUID, Mapping[str, WaiverGranted]]]:
        """The rules by which each was judged, and the waivers; left out where another form has come in its place."""
        snapshots = self._database.read_transaction
        in_place = await self._forms.governing(snapshots, bodies.values())
        forms = await self._forms.load(snapshots, (one.key for one in in_place.values()))
        found: dict[UUID, Pack] = {}
        waivers: dict[UUID, Mapping[str, WaiverGranted]] = {}
        for row in queued:
            key = row.verdict["submission_id"]
            body = bodies[key]
            if (governing := in_place.get(form_name(body))) is None:
                continue
            form = forms.get(governing.key)
            pack = form.pack if isinstance(form, CompiledForm) else None
            if pack is not None and pack.looks_back and pack.checksum == row.verdict["rule_pack"]:
                found[key] = pack
                waivers[key] = in_force(governing.waivers, body.agency, local_day(body.received_at))
        return found, waivers

    async def _base(self, row: store.Queued, pack: Pack, waivers: Mapping[str, WaiverGranted]) -> Judgement:
        """The judgement but for what rules about other reports said, with the reference tables that it looked up."""
        keys = tuple(f"reference/{version}" for version in row.verdict["looked_up"])
        tables = await self._references.load(self._database.read_transaction, keys) if keys else {}
        said = tuple(Finding.model_validate(finding) for finding in row.said)
        findings = without(row.findings, said)
        waived = sum(finding.waived is not None for finding in said)
        return Judgement(
            "accepted",
            0,
            row.verdict["warnings"] - (len(said) - waived),
            row.verdict["required_items"],
            row.verdict["present_items"],
            findings=findings,
            waived=row.verdict["waived"] - waived,
            waivers=waivers,
            looks_back=pack,
            references=References({key.split("/")[1]: tables[key] for key in keys}, keys),
        )


def _revised(row: store.Queued, judgement: Judgement, now: datetime) -> VerdictReached:
    """The next revision of the verdict."""
    before = _published(row)
    return before.model_copy(
        update={
            "verdict_id": new_id(),
            "revision": before.revision + 1,
            "decided_at": max(now, before.decided_at + _JUST_AFTER),  # followers order revisions by it
            "warnings": judgement.warnings,
            "waived": judgement.waived,
            "findings": judgement.findings,
            "findings_truncated": judgement.findings_truncated,
            "compared_with": judgement.compared_with or None,
        }
    )


def _body(row: store.Queued) -> SubmissionReceived:
    """What rules look at of the report."""
    content: dict[str, Any] = row.content
    names = ("submission_id", "obligation", "agency", "regime", "regime_version", "period", "version", "officer_id",
             "received_at", "nil")  # fmt: skip
    return SubmissionReceived.model_construct(**{name: row.verdict[name] for name in names}, **content)


def _published(row: store.Queued) -> VerdictReached:
    """The verdict in force, as it was published."""
    fields = {name: row.verdict[name] for name in VerdictReached.model_fields if name in row.verdict}
    fields["compared_with"] = tuple(map(UUID, row.verdict["compared_with"])) or None
    fields["looked_up"] = tuple(row.verdict["looked_up"]) or None
    return VerdictReached.model_construct(**{**fields, "findings": tuple(row.findings)})
