"""Exports let `reconcile` and the operator read a whole table page by page, in stable key order, and compare stores.

An export shows ids and states, decimals as text, no payload bytes. Each page is one read-only snapshot, so a row that
changes between pages may appear in its old or new state. A row may commit after one with a higher id: a client that
needs every row reads from the beginning each time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI, Query, Request, Response
from sqlalchemy import TextClause, text

from shared.postgres.database import Database
from shared.postgres.json_values import json_row
from shared.web.answers import page_of
from shared.web.authentication import Operators
from shared.web.paging import Cursor, CursorValue, decode_cursor, encode_cursor, link_next

DEFAULT_LIMIT = 1_000
MAX_LIMIT = 10_000
#: export pages that one process reads and encodes at a time; more would hold up its other requests
AT_ONCE = 2

#: the value that sorts before all others of its type
_LEAST: dict[type, CursorValue] = {int: -(2**63), str: "", UUID: UUID(int=0)}


@dataclass(frozen=True, slots=True)
class Export:
    """A named export.

    `query` selects rows after the cursor, in ascending order of the cursor column(s), `LIMIT :limit`. With one cursor
    column the bound is `:after`; with several columns it is `:after_<column>`, compared as a row:
    `WHERE (a, b) > (:after_a, :after_b) ORDER BY a, b LIMIT :limit`. The columns must be unique together, selected
    under their names, and int, str or UUID (never '' or the zero UUID).
    """

    name: str
    query: str
    cursor_column: str | tuple[str, ...] = "id"
    cursor_type: type | tuple[type, ...] = int

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.cursor_column,) if isinstance(self.cursor_column, str) else self.cursor_column

    @property
    def types(self) -> tuple[type, ...]:
        return (self.cursor_type,) if isinstance(self.cursor_type, type) else self.cursor_type

    def __post_init__(self) -> None:
        if len(self.columns) != len(self.types):
            raise ValueError(f"export {self.name}: as many cursor types as cursor columns")
        if any(kind not in _LEAST for kind in self.types):
            raise ValueError(f"export {self.name}: cursor columns are int, str or UUID")

    def bounds(self, values: Sequence[CursorValue] | None) -> dict[str, CursorValue]:
        """Parameters of the query for the rows after `values` (None: all)."""
        after = values if values is not None else [_LEAST[kind] for kind in self.types]
        if len(self.columns) == 1:
            return {"after": after[0]}
        return {f"after_{column}": value for column, value in zip(self.columns, after, strict=True)}


#: rows by column, in the order of their key; decimals and moments are texts
ExportPage = page_of("ExportPage", dict[str, Any])


def backbone_exports() -> list[Export]:
    """The backbone's exports: events (sent and unsent), outbox, inbox, deferred events, dead letters."""
    event = "id, event_id, topic, type, key"
    return [
        Export(
            "events",
            f"SELECT * FROM ((SELECT {event}, true AS published FROM outbox_archive"  # noqa: S608 - constants
            f" WHERE id > :after ORDER BY id LIMIT :limit) UNION ALL (SELECT {event}, false AS published FROM outbox"
            f" WHERE id > :after ORDER BY id LIMIT :limit) UNION ALL (SELECT {event}, false AS published"
            "  FROM outbox_set_aside WHERE NOT archived AND id > :after ORDER BY id LIMIT :limit))"
            " AS event ORDER BY id LIMIT :limit",
        ),
        Export("outbox", f"SELECT {event}, created_at FROM outbox WHERE id > :after ORDER BY id LIMIT :limit"),  # noqa: S608
        Export(
            "outbox-set-aside",
            f"SELECT {event}, created_at, set_aside_at, error_class, error_text, encoded_bytes, behind, closed_as"  # noqa: S608
            " FROM outbox_set_aside WHERE id > :after ORDER BY id LIMIT :limit",
        ),
        Export(
            "inbox",
            "SELECT consumer, event_id, applied_at FROM inbox"
            " WHERE (consumer, event_id) > (CAST(:after_consumer AS text), CAST(:after_event_id AS uuid))"
            " ORDER BY consumer, event_id LIMIT :limit",
            ("consumer", "event_id"),
            (str, UUID),
        ),
        Export(
            "deferred-events",
            'SELECT id, consumer, key, awaits, event_id, topic, partition, "offset", deferred_at FROM deferred_events'
            " WHERE id > :after ORDER BY id LIMIT :limit",
        ),
        Export(
            "dead-letters",
            'SELECT id, dead_letter_id, consumer, event_id, topic, partition, "offset", error_class, error_text,'
            " attempts, first_seen, rejected_at, replayed_at, discarded_at FROM dead_letter"
            " WHERE id > :after ORDER BY id LIMIT :limit",
        ),
    ]


#: when a service that copies keys last saw each of them used; intake has an export of its own, of the keys themselves
COPIED_KEY_USES = Export(
    "key-uses",
    "SELECT key_id, last_used_at FROM access_key_uses WHERE key_id > :after ORDER BY key_id LIMIT :limit",
    "key_id",
    str,
)


def mount_exports(app: FastAPI, database: Database, exports: Iterable[Export], *, operators: Operators) -> None:
    """Serve each export at GET /v1/exports/<name>?after=&limit= to operators.

    Answers `{"items": […], "next": cursor | null}` with `Link: rel="next"`.
    """
    allowed = Depends(operators)
    turns = asyncio.Semaphore(AT_ONCE)
    for export in exports:
        _mount(app, database, export, allowed, turns)


def _mount(app: FastAPI, database: Database, export: Export, allowed: Any, turns: asyncio.Semaphore) -> None:
    statement = text(export.query)

    async def read(
        request: Request,
        after: Cursor = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    ) -> Response:
        # covers the encoding too: many pages encoded at once would delay other requests
        async with turns:
            page = await read_page(database, export, statement, after, limit)
            response = Response(json.dumps(page, ensure_ascii=False).encode(), media_type="application/json")
        link_next(request, response, page["next"])
        return response

    app.add_api_route(
        f"/v1/exports/{export.name}",
        read,
        methods=["GET"],
        response_model=ExportPage,
        dependencies=[allowed],
        name=f"export_{export.name.replace('-', '_')}",
        summary=f"Xuất dữ liệu `{export.name}` cho vận hành / export for the operator",
        tags=["exports"],
    )


async def read_page(
    database: Database, export: Export, statement: TextClause, after: str | None, limit: int
) -> dict[str, Any]:
    """One page: up to `limit` rows after the cursor, and the next cursor or None."""
    listing = f"exports/{export.name}"
    values = decode_cursor(listing, after, export.types) if after else None
    async with database.read_transaction() as snapshot:
        result = await snapshot.execute(statement, {**export.bounds(values), "limit": limit + 1})
        rows = result.mappings().all()
    kept = rows[:limit]
    cursor = None
    if len(rows) > limit:
        last = [
            _cursor_value(kept[-1][column], kind) for column, kind in zip(export.columns, export.types, strict=True)
        ]
        cursor = encode_cursor(listing, last)
    return {"items": [json_row(row) for row in kept], "next": cursor}


def _cursor_value(value: Any, kind: type) -> CursorValue:
    # the driver's UUID is a subclass of ours
    return UUID(int=value.int) if kind is UUID else kind(value)
