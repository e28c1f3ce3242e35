"""Obligations in PostgreSQL: two documents beside the few columns that queries need, and the ledger of score lines.

`terms` is what was planned, byte for byte; `document` holds facts, derived state and lines. Columns repeat what the
state says, always written with it. One statement per table per batch, rows locked in key order; nothing commits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import text

from services.scoring.obligations.domain import Line, Obligation
from services.scoring.obligations.facts import Facts, Relief, Terms
from services.scoring.obligations.standing import State
from shared.postgres import bulk
from shared.postgres.database import ReadTransaction, Transaction

_ENCODER = msgspec.json.Encoder(decimal_format="string")


class _Document(msgspec.Struct, frozen=True, omit_defaults=True):
    facts: Facts
    state: State
    lines: tuple[Line, ...] = ()


_TERMS = msgspec.json.Decoder(Terms)
_DOCUMENT = msgspec.json.Decoder(_Document)

_ROW = "obligation, version, CAST(terms AS text), CAST(document AS text)"
_ROW_OF_O = "o.obligation, o.version, CAST(o.terms AS text), CAST(o.document AS text)"

_LOCK = text(f"""
    SELECT {_ROW} FROM obligations
     WHERE obligation = ANY(CAST(:keys AS text[])) ORDER BY obligation FOR UPDATE
""")  # noqa: S608 - constants

# What was returned late is left alone until a relief is proposed for it.
_NOT_LATE = "NOT EXISTS (SELECT FROM late_verdicts AS late WHERE late.obligation = o.obligation)"
# What was set back is left alone for a while: else the same bad rows would fill every tick.
_NOT_SET_BACK = """NOT EXISTS (SELECT FROM setbacks AS s
       WHERE s.sweep = 'deadline' AND s.subject = o.obligation AND s.next_try_at > clock_timestamp())"""
_DUE = text(f"""
    SELECT {_ROW} FROM obligations AS o
     WHERE next_at <= :now AND {_NOT_SET_BACK} AND {_NOT_LATE}
     ORDER BY next_at LIMIT :limit FOR UPDATE OF o SKIP LOCKED
""")  # noqa: S608
# Not answered, and owed by agencies that do not exist any more on the day of the deadline. What awaits its verdict is
# left until it has one.
_OF_CLOSED = text(f"""
    SELECT {_ROW_OF_O} FROM obligations AS o JOIN agencies AS a ON a.code = o.agency
     WHERE a.code = ANY(CAST(:codes AS text[])) AND o.owed AND o.standing NOT IN ('fulfilled', 'awaiting_verdict')
       AND CAST(o.deadline AT TIME ZONE 'Asia/Ho_Chi_Minh' AS date) > a.closed_on
     ORDER BY o.obligation FOR UPDATE OF o
""")  # noqa: S608
_HANDED_ON = text(f"""
    SELECT {_ROW} FROM obligations
     WHERE agency = ANY(CAST(:codes AS text[])) AND NOT owed AND terms->>'heir' IS NOT NULL
       AND NOT EXISTS (SELECT FROM requests AS q
            WHERE q.request_id = period AND q.regime = obligations.regime AND q.withdrawn_at IS NOT NULL)
     ORDER BY obligation FOR UPDATE
""")  # noqa: S608 - constants
_OF_REQUEST = text(f"""
    SELECT {_ROW_OF_O} FROM requests AS q JOIN obligations AS o ON o.regime = q.regime AND o.period = q.request_id
     WHERE q.request_id = :request_id AND o.owed AND o.obligation > :after
     ORDER BY o.obligation LIMIT :limit FOR UPDATE OF o
""")  # noqa: S608 - constants
_OF_REGIME = text(f"""
    SELECT {_ROW} FROM obligations
     WHERE regime = :regime AND owed AND standing IN ('nothing_sent', 'returned') AND NOT overdue AND deadline > :now
     ORDER BY obligation FOR UPDATE
""")  # noqa: S608
# What was due by its rule when scoring heard of the agency's other group stays, answered or not, also if a relief is
# granted later. What awaits its verdict is left until it has one.
_UNANSWERED = text(f"""
    SELECT {_ROW_OF_O} FROM obligations AS o JOIN agencies AS a ON a.code = o.agency
     WHERE a.code = ANY(CAST(:codes AS text[])) AND o.owed AND o.standing IN ('nothing_sent', 'returned')
       AND CAST(o.terms->>'deadline' AS timestamptz) > coalesce(a.regrouped_at, :now)
     ORDER BY o.obligation FOR UPDATE OF o
""")  # noqa: S608 - constants
# Another relief may have moved the deadline behind this one's end: then the planned one tells.
_COVERED = text(f"""
    SELECT {_ROW} FROM obligations
     WHERE obligation > :after
       AND (deadline <= :ends_at OR CAST(terms->>'deadline' AS timestamptz) <= :ends_at)
       AND (standing <> 'fulfilled' OR deadline >= :starts_at OR received_at >= :starts_at)
       AND (:every_agency OR agency = ANY(CAST(:agencies AS text[])))
       AND (:every_regime OR regime = ANY(CAST(:regimes AS text[])))
       AND (:every_key OR obligation = ANY(CAST(:keys AS text[])))
     ORDER BY obligation LIMIT :limit FOR UPDATE
""")  # noqa: S608

_SEEN_WHOLE = text(f"""
    SELECT {_ROW}, owed, standing, overdue, deadline, received_at, next_at,
           (SELECT json_agg(json_build_object('seq', l.seq, 'line_id', l.line_id, 'component', l.component,
                'clause', l.clause, 'points', CAST(l.points AS text), 'cause', l.cause, 'cause_en', l.cause_en,
                'policy_version', l.policy_version, 'event_id', l.event_id, 'created_at', l.created_at,
                'reverses', l.reverses) ORDER BY l.seq)::text
              FROM score_lines AS l WHERE l.obligation = o.obligation) AS ledger
      FROM obligations AS o
     WHERE obligation > :after AND (:endless OR obligation <= :until)
       AND (:everything OR obligation = ANY(CAST(:keys AS text[])))
     ORDER BY obligation LIMIT :limit
""")  # noqa: S608
_EVERY_NTH = text("""
    SELECT obligation FROM (SELECT obligation, row_number() OVER (ORDER BY obligation) AS place FROM obligations) AS o
     WHERE place % :nth = 0 ORDER BY obligation
""")
_WITH_REPORTS = text("""
    SELECT obligation FROM obligations
     WHERE received_at IS NOT NULL AND (:everything OR obligation = ANY(CAST(:keys AS text[]))) ORDER BY obligation
""")
_DEFERRED = text("SELECT DISTINCT key FROM deferred_events WHERE key = ANY(CAST(:keys AS text[]))")
_LEDGER = msgspec.json.Decoder(tuple[Line, ...])

_COLUMNS = {
    "obligation": "text", "version": "int", "owed": "boolean", "standing": "text", "overdue": "boolean",
    "deadline": "timestamptz", "received_at": "timestamptz", "next_at": "timestamptz", "document": "json",
}  # fmt: skip
_SAVE = text(f"""
    UPDATE obligations SET {bulk.assignments(name for name in _COLUMNS if name != "obligation")}
      FROM {bulk.unnest(_COLUMNS)} WHERE obligations.obligation = row.obligation
""")  # noqa: S608 - constant names
_SAVE_TERMS = text("""
    UPDATE obligations SET terms = row.terms
      FROM unnest(CAST(:obligation AS text[]), CAST(:terms AS json[])) AS row (obligation, terms)
     WHERE obligations.obligation = row.obligation
""")
_INSERTED = {
    "obligation": "text", "agency": "text", "regime": "text", "period": "text", "version": "int", "owed": "boolean",
    "standing": "text", "overdue": "boolean", "deadline": "timestamptz", "received_at": "timestamptz",
    "next_at": "timestamptz", "terms": "json", "document": "json", "opened_at": "timestamptz",
}  # fmt: skip
_INSERT = text(f"""
    INSERT INTO obligations ({bulk.names(_INSERTED)}) SELECT * FROM {bulk.unnest(_INSERTED)}
    ON CONFLICT (obligation) DO NOTHING RETURNING obligation
""")  # noqa: S608 - constant names

_APPENDED = {
    "obligation": "text", "seq": "int", "line_id": "uuid", "component": "text", "clause": "text", "points": "numeric",
    "cause": "text", "cause_en": "text", "policy_version": "text", "event_id": "uuid", "created_at": "timestamptz",
    "reverses": "uuid",
}  # fmt: skip
_APPEND = text(f"""
    INSERT INTO score_lines ({bulk.names(_APPENDED)}) SELECT * FROM {bulk.unnest(_APPENDED)}
""")  # noqa: S608 - constant names


@dataclass(frozen=True, slots=True)
class Found:
    """Locked rows of a sweep: those that can be read, and why each of the others (by key) cannot."""

    obligations: list[Obligation]
    unreadable: dict[str, Exception]
    last_key: str = ""  # of the last row, in the database's order

    @property
    def rows(self) -> int:
        return len(self.obligations) + len(self.unreadable)


async def lock_obligations(tx: Transaction, keys: Sequence[str]) -> dict[str, Obligation]:
    """The obligations of these keys that exist, locked in key order."""
    rows = await tx.execute(_LOCK, {"keys": sorted(keys)})
    return {row[0]: _obligation(row) for row in rows}


async def lock_readable(tx: Transaction, keys: Sequence[str]) -> Found:
    """As `lock_obligations`, but one that cannot be read keeps none of the others back."""
    return _found(await tx.execute(_LOCK, {"keys": sorted(keys)}))


async def lock_due(tx: Transaction, now: datetime, limit: int) -> Found:
    """Obligations that time alone may change by `now`, at most `limit`; rows that others hold are left for later."""
    return _found(await tx.execute(_DUE, {"now": now, "limit": limit}))


async def lock_of_closed(tx: Transaction, codes: Sequence[str]) -> Found:
    """Unanswered obligations of these agencies whose deadline lies behind the agency's closing."""
    return _found(await tx.execute(_OF_CLOSED, {"codes": sorted(codes)}))


async def lock_unanswered(tx: Transaction, codes: Sequence[str], now: datetime) -> Found:
    """What these agencies owe and nothing has come of that may count, as far as it was not due when they changed.

    They changed when scoring heard of their other group; by default, `now`.
    """
    return _found(await tx.execute(_UNANSWERED, {"codes": sorted(codes), "now": now}))


async def lock_handed_on(tx: Transaction, codes: Sequence[str]) -> Found:
    """Obligations of these agencies that others owe since the agency closed."""
    return _found(await tx.execute(_HANDED_ON, {"codes": sorted(codes)}))


async def lock_of_request(tx: Transaction, request_id: str, after: str, limit: int) -> Found:
    """What is owed of a request, whoever owes it, in key order behind `after`."""
    return _found(await tx.execute(_OF_REQUEST, {"request_id": request_id, "after": after, "limit": limit}))


async def lock_unanswered_of(tx: Transaction, regime: str, now: datetime) -> list[Obligation]:
    """What is owed of a regime, due later than `now`, and nothing has come of that may still count."""
    return [_obligation(row) for row in await tx.execute(_OF_REGIME, {"regime": regime, "now": now})]


async def lock_covered(
    tx: Transaction,
    relief: Relief,
    *,
    agencies: Sequence[str],
    regimes: Sequence[str],
    keys: Sequence[str],
    after: str,
    limit: int,
) -> Found:
    """Obligations that a relief may concern (empty: of every agency, regime, key), in key order behind `after`."""
    parameters = {
        "starts_at": relief.starts_at, "ends_at": relief.ends_at, "after": after, "limit": limit,
        "every_agency": not agencies, "agencies": list(agencies), "every_regime": not regimes,
        "regimes": list(regimes), "every_key": not keys, "keys": list(keys),
    }  # fmt: skip
    return _found(await tx.execute(_COVERED, parameters))


@dataclass(frozen=True, slots=True)
class Whole:
    """An obligation with the columns that repeat its state, and its rows of the ledger."""

    obligation: Obligation
    columns: dict[str, Any]
    ledger: tuple[Line, ...]


async def every_nth_key(tx: ReadTransaction, nth: int) -> list[str]:
    """Keys that divide all obligations into ranges of `nth`, in key order."""
    return list((await tx.execute(_EVERY_NTH, {"nth": nth})).scalars())


async def read_whole(
    tx: ReadTransaction, keys: Sequence[str] | None, after: str, limit: int, until: str | None = None
) -> list[Whole]:
    """Obligations (None: all) behind the key `after`, up to `until`, in key order, not locked.

    Raises ValueError for a bad row.
    """
    rows = await tx.execute(
        _SEEN_WHOLE,
        {
            "everything": keys is None, "keys": list(keys or ()), "after": after, "limit": limit,
            "endless": until is None, "until": until or "",
        },
    )  # fmt: skip
    names = ("owed", "standing", "overdue", "deadline", "received_at", "next_at")
    return [
        Whole(_obligation(row), dict(zip(names, row[4:10], strict=True)), _LEDGER.decode(row[10]) if row[10] else ())
        for row in rows
    ]


async def keys_with_reports(tx: ReadTransaction, keys: Collection[str] | None) -> list[str]:
    """Obligations (None: of all) about which some report has come, in key order."""
    rows = await tx.execute(_WITH_REPORTS, {"everything": keys is None, "keys": list(keys or ())})
    return list(rows.scalars())


async def deferred_keys(tx: ReadTransaction, keys: Sequence[str]) -> set[str]:
    """Of these keys those with events that still wait to be applied."""
    return set((await tx.execute(_DEFERRED, {"keys": list(keys)})).scalars())


async def insert(tx: Transaction, opened: Sequence[tuple[Obligation, datetime]]) -> set[str]:
    """Insert obligations (with the moment they were opened); returns the keys that were not there yet."""
    if not opened:
        return set()
    rows = [
        (obligation.key, obligation.agency, obligation.regime, obligation.period, obligation.version, state.owed,
         state.standing, state.overdue, state.deadline, _received_at(obligation), state.next_at,
         encode_terms(obligation.terms), encode_document(obligation), at)
        for obligation, at in sorted(opened, key=lambda pair: pair[0].key)
        for state in (obligation.state,)
    ]  # fmt: skip
    return set((await tx.execute(_INSERT, bulk.parameters(_INSERTED, rows))).scalars())


async def save(
    tx: Transaction,
    changed: Iterable[Obligation],
    lines: Sequence[tuple[str, Line]],
    *,
    new_terms: Sequence[Obligation] = (),
) -> None:
    """Write changed obligations and append lines (key, line). The rows must be locked by this transaction.

    new_terms: those whose terms have changed too.
    """
    rows = [
        (obligation.key, obligation.version, state.owed, state.standing, state.overdue, state.deadline,
         _received_at(obligation), state.next_at, encode_document(obligation))
        for obligation in changed
        for state in (obligation.state,)
    ]  # fmt: skip
    if rows:
        await tx.execute(_SAVE, bulk.parameters(_COLUMNS, rows))
    if new_terms:
        await tx.execute(
            _SAVE_TERMS,
            {
                "obligation": [obligation.key for obligation in new_terms],
                "terms": [encode_terms(obligation.terms) for obligation in new_terms],
            },
        )
    if lines:
        appended = [
            (key, line.seq, line.line_id, line.component, line.clause, line.points, line.cause, line.cause_en,
             line.policy_version, line.event_id, line.created_at, line.reverses)
            for key, line in lines
        ]  # fmt: skip
        await tx.execute(_APPEND, bulk.parameters(_APPENDED, appended))


def encode_terms(terms: Terms) -> str:
    """As it is stored; equal terms are equal texts."""
    return _ENCODER.encode(terms).decode()


def encode_document(obligation: Obligation) -> str:
    return _ENCODER.encode(_Document(obligation.facts, obligation.state, obligation.lines)).decode()


def decode(key: str, version: int, terms: str, document: str) -> Obligation:
    """Raises ValueError where a document is not as it must be."""
    made = _DOCUMENT.decode(document)
    return Obligation(key, version, _TERMS.decode(terms), made.facts, made.state, made.lines)


def _obligation(row: Sequence[Any]) -> Obligation:
    return decode(row[0], row[1], row[2], row[3])


def _received_at(obligation: Obligation) -> datetime | None:
    """Of what is withdrawn nothing stands."""
    latest = obligation.facts.latest
    return None if latest is None else latest.received_at


def _found(rows: Iterable[Sequence[Any]]) -> Found:
    obligations: list[Obligation] = []
    unreadable: dict[str, Exception] = {}
    last_key = ""
    for row in rows:
        last_key = row[0]
        try:
            obligations.append(_obligation(row))
        except ValueError as error:  # msgspec's errors are such
            unreadable[last_key] = error
    return Found(obligations, unreadable, last_key)
