"""The feed of shared reports over HTTP. Each read checks the permission in the snapshot in which it reads reports."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, cast
from uuid import UUID

from fastapi import Depends, Query, Response

from services.intake import pages, views
from services.intake.access.callers import Access, Reading, ReadingById
from services.intake.lifecycle.store import histories_of
from services.intake.parameters import Code
from services.intake.registry.cache import RegistryCache
from services.intake.registry.records import Registry
from services.intake.sharing import feed, permissions, queries
from services.intake.sharing.feed import Change, Told
from services.intake.sharing.views import SharedEntry, SharedPage, entry_view, sharing_view
from shared.contract.reporting_window import local_day
from shared.postgres.database import Database, ReadTransaction
from shared.reports.report_parser import Report, read_report
from shared.runtime.clock import Clock
from shared.web.app import Application
from shared.web.errors import not_found
from shared.web.paging import Cursor, decode_cursor, encode_cursor

#: changes that one answer tells, and bytes of the reports in it; one report is always told
MAX_LIMIT, MAX_BYTES = 100, 4 * 1024 * 1024
_LISTING = "shared/submissions"
_Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description=f"số thay đổi / changes, 1–{MAX_LIMIT}")]


def mount(app: Application, *, access: Access, cache: RegistryCache, database: Database, clock: Clock) -> None:
    """Add the route."""
    reader = Depends(ReadingById(access))

    @app.get(
        "/v1/shared/submissions",
        tags=["sharing"],
        summary="Báo cáo được chia sẻ, theo thứ tự thay đổi / shared reports, in the order of change",
        response_model=SharedPage,
    )
    async def shared(
        after: Cursor = None, limit: _Limit = 50, regime: Code = None, reading: Reading = reader
    ) -> Response:
        position = decode_cursor(_LISTING, after, (datetime, UUID)) if after else None
        await cache.be_fresh()
        registry, today = cache.registry, local_day(clock.now())
        # what commits after this may lie before what is seen: it is told by the next read
        horizon = await views.horizon(database)
        async with database.read_transaction() as tx:
            stored = await queries.sharings(tx, reading.agency)
            held = [
                sharing
                for sharing in permissions.in_force(stored, reading.agency, today)
                if reading.covers(sharing.regime) and regime in (None, sharing.regime)
            ]
            if regime is not None and not held:
                raise not_found(f"báo cáo {regime} được chia sẻ", f"shared reports under {regime}")
            scanned: list[Change] = []
            if held:
                scanned = await queries.changes(tx, cast("tuple[datetime, UUID] | None", position), horizon)
            tree = registry.tree(today)
            wanted = [one for one in scanned if permissions.covers(held, one.agency, one.regime, tree)]
            kept = await _that_fit(tx, await _told(tx, wanted[:limit], registry))
            items = await _items(tx, [told for _, found in kept for told in found])
        cut = len(kept) < len(wanted)
        last = kept[-1][0] if cut else scanned[-1] if scanned else None
        page = SharedPage(
            items=items,
            next=encode_cursor(_LISTING, (last.moment, last.id)) if last else after,
            more=cut or len(scanned) == queries.SCANNED,
            sharings=[sharing_view(sharing) for sharing in held],
        )
        return Response(page.model_dump_json(), media_type="application/json")


async def _told(tx: ReadTransaction, changes: list[Change], registry: Registry) -> list[tuple[Change, list[Told]]]:
    """The entries of each change, as the versions stand now."""
    histories = await histories_of(tx, sorted({change.obligation for change in changes}), registry)
    return [(change, feed.told(change, histories[change.obligation])) for change in changes]


async def _that_fit(tx: ReadTransaction, entries: list[tuple[Change, list[Told]]]) -> list[tuple[Change, list[Told]]]:
    """As many of the first entries as one answer may hold, and at least one."""
    sizes = await queries.sizes(tx, _in_force([told for _, found in entries for told in found]))
    kept: list[tuple[Change, list[Told]]] = []
    total = 0
    for change, found in entries:
        total += sum(sizes[submission_id] for submission_id in _in_force(found))
        if kept and total > MAX_BYTES:
            break
        kept.append((change, found))
    return kept


async def _items(tx: ReadTransaction, entries: list[Told]) -> list[SharedEntry]:
    bodies = await queries.bodies(tx, _in_force(entries))

    def make(told: Told) -> SharedEntry:
        if told.event != "accepted":
            return entry_view(told, None)
        sha256, body = bodies[told.version.submission_id]
        report = read_report(body)
        assert isinstance(report, Report), "a stored body was readable when it was stored"
        return entry_view(told, (sha256, report))

    return await pages.in_slices(entries, make)


def _in_force(entries: list[Told]) -> list[UUID]:
    """The submissions whose content is told."""
    return [told.version.submission_id for told in entries if told.event == "accepted"]
