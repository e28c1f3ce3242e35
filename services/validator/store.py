"""Named queries of validator. Set-based, on the caller's transaction; nothing here commits."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from pydantic import BaseModel
from sqlalchemy import RowMapping, text

from services.validator import tables
from services.validator.beneath import Agency
from services.validator.domain import Earlier, Held, Kept
from services.validator.rules.pack_compiler import tables_looked_up
from shared.contract.events import (
    AgencyRegistered,
    Cutoff,
    Finding,
    Form,
    Frequency,
    NotJudged,
    ReferenceTablePublished,
    RegimePublished,
    VerdictReached,
    WaiverGranted,
)
from shared.contract.events.fields import Day
from shared.contract.hierarchy import Parents, ParentSince, parents_of
from shared.postgres import bulk
from shared.postgres.database import ReadTransaction, Transaction
from shared.projection import Projection


class Submitters(BaseModel):
    """Who reports under a regime version (shared/contract/addressing.py)."""

    submitter_kinds: tuple[str, ...] = ()
    submitters: tuple[str, ...] = ()
    submitters_except: tuple[str, ...] = ()
    submitter_parents: tuple[str, ...] = ()


class Governing(NamedTuple):
    """By the form of which registry key a report is judged that names this one, and the waivers it may be under."""

    name: str
    key: str
    waivers: tuple[WaiverGranted, ...]


class Validity(BaseModel):
    """Of which periods a regime version is."""

    regime_version: int
    frequency: Frequency
    effective_from: Day
    effective_to: Day | None = None
    cutoff: Cutoff


_LOCK_REGIMES = text("""
    SELECT key, version, CAST(form AS text) AS form FROM regime
     WHERE key = ANY(CAST(:keys AS text[])) ORDER BY key FOR UPDATE
""")

#: The form of a known version is never written again, whatever comes.
REGIMES = Projection(
    tables.regime,
    RegimePublished,
    values={
        "form": lambda regime: regime.form.model_dump_json(),
        "validity": lambda regime: Validity.model_validate(regime, from_attributes=True).model_dump_json(),
        "submitters": lambda regime: Submitters.model_validate(regime, from_attributes=True).model_dump_json(),
        "replaces": lambda regime: None if regime.replaces is None else f"regime/{regime.code}/{regime.replaces}",
        "looks_up": lambda regime: json.dumps(sorted(tables_looked_up(regime.form))),
    },
    fixed=("code", "regime_version", "form"),
    own=("learned_at",),
    refilled=True,
)

AGENCIES = Projection(
    tables.agency,
    AgencyRegistered,
    values={
        "parents": lambda agency: json.dumps([later.model_dump(mode="json") for later in agency.parents]),
        "ever_below": lambda agency: json.dumps(sorted(set(parents_of(agency.parent, agency.parents).ever()))),
    },
)

_AGENCIES = "SELECT code, kind, parent, parents, opened_on, closed_on FROM agency"
_BELOW = text(f"{_AGENCIES} WHERE ever_below && CAST(:codes AS text[]) ORDER BY code")
_NAMED = text(f"{_AGENCIES} WHERE code = ANY(CAST(:codes AS text[]))")

_TERMS = text("""
    SELECT key, CAST(validity AS text) AS validity, CAST(submitters AS text) AS submitters
      FROM regime WHERE key = ANY(CAST(:keys AS text[])) AND validity IS NOT NULL AND submitters IS NOT NULL
""")

REFERENCES = Projection(
    tables.reference_table,
    ReferenceTablePublished,
    values={
        "columns": lambda table: json.dumps([column.model_dump(mode="json") for column in table.columns]),
        "rows": lambda table: json.dumps(table.rows),
    },
    fixed=("code", "table_version", "effective_from", "checksum", "columns", "rows"),
    own=("learned_at",),
)

_LOCK_REFERENCES = text("""
    SELECT key, version, effective_from, checksum FROM reference_table
     WHERE key = ANY(CAST(:keys AS text[])) ORDER BY key FOR UPDATE
""")

_DAYS = {"code": "text", "day": "date"}
_IN_FORCE = text(f"""
    SELECT asked.code, asked.day, found.key FROM {bulk.unnest(_DAYS, "asked")} CROSS JOIN LATERAL (
        SELECT key FROM reference_table WHERE code = asked.code AND effective_from <= asked.day
         ORDER BY effective_from DESC, table_version DESC LIMIT 1
    ) AS found
""")  # noqa: S608 - constant names

_REFERENCE = text("""
    SELECT CAST(json_build_object('columns', columns, 'rows', rows) AS text) FROM reference_table WHERE key = :key
""")

WAIVERS = Projection(tables.waiver, WaiverGranted)

_VALIDITIES = text("""
    SELECT regime_version, CAST(validity AS text) AS validity FROM regime WHERE code = :code ORDER BY regime_version
""")

_FORMS = text("SELECT key, CAST(form AS text) AS form FROM regime WHERE key = ANY(CAST(:keys AS text[]))")

# A version that is replaced, perhaps never known itself, is judged under the newest of those that take its place. One
# whose rules look up a table of which no version is known yet is not known either: reports wait for the table.
_IN_PLACE = """
    WITH RECURSIVE in_place AS (
        SELECT name, name AS key FROM unnest(CAST(:names AS text[])) AS name
        UNION
        SELECT in_place.name, newer.key FROM regime newer JOIN in_place ON newer.replaces = in_place.key
    )
    SELECT {shown} FROM (
        SELECT DISTINCT ON (in_place.name) in_place.name, regime.key, regime.code, regime.looks_up
          FROM in_place JOIN regime ON regime.key = in_place.key
         ORDER BY in_place.name, regime.regime_version DESC
    ) AS newest
     WHERE NOT EXISTS (SELECT FROM unnest(looks_up) AS asked (code)
                        WHERE NOT EXISTS (SELECT FROM reference_table AS known WHERE known.code = asked.code))
"""
_KEYS_IN_PLACE = text(_IN_PLACE.format(shown="name, key"))
_GOVERNING = text(
    _IN_PLACE.format(
        shown="""name, key, (
            SELECT CAST(json_agg(waiver) AS text) FROM waiver
             WHERE regime = newest.code AND until >= :day AND agencies && CAST(:agencies AS text[])
        ) AS waivers"""
    )
)

_COLUMNS: dict[str, str] = {
    "verdict_id": "uuid",
    "submission_id": "uuid",
    "obligation": "text",
    "agency": "text",
    "regime": "text",
    "regime_version": "int",
    "period": "text",
    "version": "int",
    "officer_id": "text",
    "received_at": "timestamptz",
    "decided_at": "timestamptz",
    "nil": "bool",
    "outcome": "text",
    "errors": "int",
    "warnings": "int",
    "waived": "int",
    "required_items": "int",
    "present_items": "int",
    "findings_truncated": "bool",
    "rule_pack": "text",
    "revision": "int",
}
FINDING_SHOWN = ("code", "tier", "severity", "path", "provided", "expected", "difference", "message", "message_en",
                    "fix", "fix_en", "legal_basis", "weight", "explain", "waived")  # fmt: skip
_STORED = _COLUMNS | {"any_nonzero": "bool", "compared_with": "jsonb", "figures": "jsonb", "resembles": "jsonb",
                      "looked_up": "jsonb"}  # fmt: skip
#: the columns of a verdict that are answered
SHOWN = (*_COLUMNS, "compared_with", "looked_up")
_NAMES = bulk.names(SHOWN)
_FINDING_NAMES = bulk.names(FINDING_SHOWN)
_FINDING_ROW = {"verdict_id": "uuid", "position": "int", **dict.fromkeys(FINDING_SHOWN, "text"), "explain": "bool",
                "waived": "jsonb"}  # fmt: skip

# What is accepted takes the place of older versions among those that look at others (an old version may be accepted
# after a newer one: its own was not judged for a while, and takes no place). Whoever looks at it is queued,
# in the order of ids, so that two batches do not wait for each other. A row that is queued already is noted anew: what
# it waits for is what runs now.
# Another event about a submission that has its verdict, or could not be judged, changes nothing. Another submission
# under a version that has its verdict is a fault of that event and raises.
_INSERT_VERDICTS = text(f"""
    WITH inserted AS (
        INSERT INTO verdict ({bulk.names(_STORED)}) SELECT {bulk.names(_STORED)}
          FROM {bulk.unnest(_STORED, place="place")}
         WHERE NOT EXISTS (SELECT FROM not_judged AS kept
                            WHERE kept.submission_id = row.submission_id AND kept.judged_at IS NULL)
         ORDER BY place
        ON CONFLICT (submission_id) DO NOTHING RETURNING verdict_id, obligation, version, outcome
    ), accepted AS (
        SELECT obligation, max(version) AS version FROM inserted WHERE outcome = 'accepted' GROUP BY obligation
    ), gone AS (
        DELETE FROM looking USING accepted WHERE looking.obligation = accepted.obligation
           AND (SELECT version FROM verdict WHERE verdict.submission_id = looking.submission_id) < accepted.version
        RETURNING submission_id
    ), queued AS (
        INSERT INTO judge_again (submission_id)
        SELECT DISTINCT submission_id FROM looked_at JOIN accepted USING (obligation)
         WHERE submission_id NOT IN (SELECT submission_id FROM gone) ORDER BY submission_id
        ON CONFLICT (submission_id) DO UPDATE SET after_xid = NULL
    )
    SELECT verdict_id FROM inserted
""")  # noqa: S608 - constant names

_NOT_JUDGED_ROW = {"submission_id": "uuid", "obligation": "text", "version": "int", "verdict_id": "uuid",
                   "document": "jsonb", "report": "bytea"}  # fmt: skip
_INSERT_NOT_JUDGED = text(f"""
    INSERT INTO not_judged ({bulk.names(_NOT_JUDGED_ROW)}) SELECT {bulk.names(_NOT_JUDGED_ROW)}
      FROM {bulk.unnest(_NOT_JUDGED_ROW)}
     WHERE NOT EXISTS (SELECT FROM verdict WHERE verdict.submission_id = row.submission_id)
     ORDER BY submission_id ON CONFLICT DO NOTHING RETURNING submission_id
""")  # noqa: S608 - constant names
_NOT_JUDGED = text("""
    SELECT submission_id, obligation, version, document, parked_at, tries, tried_at FROM not_judged
     WHERE judged_at IS NULL ORDER BY parked_at, submission_id LIMIT :limit
""")
_REPORT_NOT_JUDGED = text("SELECT report FROM not_judged WHERE submission_id = :id AND judged_at IS NULL")
_LOCK_NOT_JUDGED = text("SELECT true FROM not_judged WHERE submission_id = :id AND judged_at IS NULL FOR UPDATE")
_NOTE_TRY = text(
    "UPDATE not_judged SET tries = tries + 1, tried_at = clock_timestamp() WHERE submission_id = :id"
)  # fmt: skip
_END_NOT_JUDGED = text("""
    UPDATE not_judged SET tries = tries + 1, tried_at = clock_timestamp(), judged_at = clock_timestamp(), report = NULL
     WHERE submission_id = :id
""")

# The newest accepted version that stands, and those that were withdrawn: some reports were received before that.
_ACCEPTED = """
    SELECT * FROM (
        SELECT DISTINCT ON (verdict.obligation, withdrawn_at) {columns}, verdict.obligation, version, withdrawn_at
          FROM verdict LEFT JOIN withdrawal USING (submission_id)
         WHERE verdict.obligation = ANY(CAST(:keys AS text[])) AND outcome = 'accepted'
         ORDER BY verdict.obligation, withdrawn_at, version DESC
    ) AS accepted ORDER BY obligation, version DESC
"""
_ACCEPTED_FIGURES = text(_ACCEPTED.format(columns="any_nonzero"))
_LOOKED_BACK_TO = text(_ACCEPTED.format(columns="submission_id, figures"))
_ADDED_UP = text(
    _ACCEPTED.format(
        columns="""submission_id, CASE WHEN figures IS NOT NULL THEN (
            SELECT coalesce(jsonb_object_agg(code, figures -> code), '{}')
              FROM unnest(CAST(:codes AS text[])) AS code WHERE jsonb_exists(figures, code)
        ) END AS figures"""
    )
)

_WITHDRAWALS = text("""
    SELECT submission_id, withdrawn_at FROM withdrawal WHERE submission_id = ANY(CAST(:ids AS uuid[]))
""")
_WITHDRAWAL = {"submission_id": "uuid", "obligation": "text", "withdrawn_at": "timestamptz"}
_INSERT_WITHDRAWALS = text(f"""
    INSERT INTO withdrawal ({bulk.names(_WITHDRAWAL)}) SELECT {bulk.names(_WITHDRAWAL)} FROM {bulk.unnest(_WITHDRAWAL)}
     ORDER BY submission_id ON CONFLICT DO NOTHING
""")  # noqa: S608 - constant names

_RETURNED_FOR = text("""
    SELECT DISTINCT obligation FROM verdict JOIN finding USING (verdict_id)
     WHERE obligation = ANY(CAST(:keys AS text[])) AND code = :code AND severity = 'error'
""")

_INSERT_FINDINGS = text(f"""
    INSERT INTO finding ({bulk.names(_FINDING_ROW)}) SELECT * FROM {bulk.unnest(_FINDING_ROW)}
""")  # noqa: S608 - constant names

_LOOKING_ROW = {"submission_id": "uuid", "obligation": "text", "content": "jsonb", "said": "jsonb"}
_INSERT_LOOKING = text(f"""
    INSERT INTO looking ({bulk.names(_LOOKING_ROW)})
    SELECT {bulk.names(_LOOKING_ROW)} FROM {bulk.unnest(_LOOKING_ROW | {"version": "int"})}
     WHERE NOT EXISTS (SELECT FROM verdict AS newer LEFT JOIN withdrawal USING (submission_id)
                        WHERE newer.obligation = row.obligation AND newer.version > row.version
                          AND outcome = 'accepted' AND withdrawn_at IS NULL)
    RETURNING submission_id
""")  # noqa: S608 - constant names
_LOOKED_AT_ROW = {"obligation": "text", "submission_id": "uuid"}
_INSERT_LOOKED_AT = text(f"""
    INSERT INTO looked_at ({bulk.names(_LOOKED_AT_ROW)}) SELECT * FROM {bulk.unnest(_LOOKED_AT_ROW)}
    ON CONFLICT DO NOTHING
""")  # noqa: S608 - constant names

_QUEUE = text("""
    INSERT INTO judge_again (submission_id) SELECT * FROM unnest(CAST(:own AS uuid[]))
""")
_STAMP = text("""
    UPDATE judge_again SET after_xid = CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint)
     WHERE submission_id IN (SELECT submission_id FROM judge_again WHERE after_xid IS NULL FOR UPDATE SKIP LOCKED)
""")
# Rows that a batch holds are left: it may be about to queue them again.
_TAKE = text(f"""
    WITH taken AS MATERIALIZED (
        SELECT looking.* FROM judge_again JOIN looking USING (submission_id)
         WHERE after_xid <= CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)
           AND submission_id <> ALL(CAST(:without AS uuid[]))
         ORDER BY submission_id LIMIT :limit FOR UPDATE OF looking, judge_again SKIP LOCKED
    ), gone AS (
        DELETE FROM judge_again USING taken WHERE judge_again.submission_id = taken.submission_id
    )
    SELECT taken.content, taken.said, verdict.looked_up AS looked_up, verdict.compared_with AS compared_with,
           {", ".join(f"verdict.{name}" for name in _COLUMNS)}
      FROM taken JOIN verdict ON verdict.submission_id = taken.submission_id ORDER BY verdict.submission_id
""")  # noqa: S608 - constant names
_FORGET = text("""
    DELETE FROM judge_again WHERE submission_id IN (
        SELECT submission_id FROM judge_again
         WHERE after_xid <= CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)
           AND NOT EXISTS (SELECT FROM looking WHERE looking.submission_id = judge_again.submission_id)
           FOR UPDATE SKIP LOCKED
    )
""")
_FINDINGS_OF = text(f"""
    SELECT verdict_id, {bulk.names(FINDING_SHOWN)} FROM finding
     WHERE verdict_id = ANY(CAST(:ids AS uuid[])) ORDER BY verdict_id, position
""")  # noqa: S608 - constant names
_EARLIER_ROW = {"verdict_id": "uuid", "submission_id": "uuid", "obligation": "text", "revision": "int",
                "document": "jsonb"}  # fmt: skip
_KEEP_EARLIER = text(f"""
    INSERT INTO earlier_verdict ({bulk.names(_EARLIER_ROW)}) SELECT * FROM {bulk.unnest(_EARLIER_ROW)}
""")  # noqa: S608 - constant names
_DROP_FINDINGS = text("DELETE FROM finding WHERE verdict_id = ANY(CAST(:ids AS uuid[]))")
_REPLACED_ROW = {"submission_id": "uuid", "verdict_id": "uuid", "revision": "int", "decided_at": "timestamptz",
                 "warnings": "int", "waived": "int", "findings_truncated": "bool",
                 "compared_with": "jsonb"}  # fmt: skip
_REPLACE = text(f"""
    UPDATE verdict SET {bulk.assignments([name for name in _REPLACED_ROW if name != "submission_id"])}
      FROM {bulk.unnest(_REPLACED_ROW)} WHERE verdict.submission_id = row.submission_id
""")  # noqa: S608 - constant names
_SAID_ROW = {"submission_id": "uuid", "said": "jsonb"}
_SAY = text(f"""
    UPDATE looking SET said = row.said FROM {bulk.unnest(_SAID_ROW)} WHERE looking.submission_id = row.submission_id
""")  # noqa: S608 - constant names

_FINGERPRINT_ROW = {"submission_id": "uuid", "section": "text", "obligation": "text", "agency": "text",
                    "version": "int", "received_at": "timestamptz", "buckets": "bytea", "bands": "text"}  # fmt: skip

# A near-copy of another agency's text is found by that text: it has no bands, so copies do not add up.
_INSERT_FINGERPRINTS = text(f"""
    INSERT INTO fingerprint ({bulk.names(_FINGERPRINT_ROW)})
    SELECT submission_id, section, obligation, agency, version, received_at, buckets, CAST(bands AS bigint[])
      FROM {bulk.unnest(_FINGERPRINT_ROW)} ON CONFLICT DO NOTHING
""")  # noqa: S608 - constant names

_LAST_FINGERPRINTS = text("""
    SELECT * FROM (
        SELECT DISTINCT ON (fingerprint.obligation, section, withdrawn_at)
               withdrawn_at, section, submission_id, fingerprint.obligation, agency, received_at, buckets, version
          FROM fingerprint LEFT JOIN withdrawal USING (submission_id)
         WHERE fingerprint.obligation = ANY(CAST(:keys AS text[]))
         ORDER BY fingerprint.obligation, section, withdrawn_at, version DESC
    ) AS accepted ORDER BY obligation, section, version DESC
""")

_ASKED = {"place": "int", "agency": "text", "received_at": "timestamptz", "bands": "text"}
_CANDIDATES = text(f"""
    SELECT row.place, near.* FROM {bulk.unnest(_ASKED)} CROSS JOIN LATERAL (
        SELECT submission_id, obligation, agency, received_at, buckets FROM fingerprint
         WHERE bands && CAST(row.bands AS bigint[]) AND agency <> row.agency AND received_at < row.received_at
           AND NOT EXISTS (SELECT FROM withdrawal WHERE withdrawal.submission_id = fingerprint.submission_id
                                                    AND withdrawn_at <= row.received_at)
         ORDER BY received_at, submission_id LIMIT :limit
    ) AS near ORDER BY row.place, near.received_at, near.submission_id
""")  # noqa: S608 - constant names

_BY_SUBMISSION = text(f"SELECT {_NAMES} FROM verdict WHERE submission_id = :submission_id")  # noqa: S608

_BY_OBLIGATION = text(
    f"SELECT {_NAMES} FROM verdict WHERE obligation = :obligation AND version < :before"  # noqa: S608
    " ORDER BY version DESC LIMIT :limit"
)

_FINDINGS = text(f"SELECT {_FINDING_NAMES} FROM finding WHERE verdict_id = :verdict_id ORDER BY position")  # noqa: S608


async def lock_regimes(tx: Transaction, keys: Sequence[str]) -> dict[str, tuple[int, Form]]:
    """Known regime versions by registry key: the event version seen last, and the form. Their rows are locked."""
    rows = await tx.execute(_LOCK_REGIMES, {"keys": list(keys)})
    return {row.key: (row.version, Form.model_validate_json(row.form)) for row in rows}


async def forms(tx: Transaction, keys: Sequence[str]) -> dict[str, str]:
    """The forms (JSON text) of the known ones among these registry keys."""
    rows = await tx.execute(_FORMS, {"keys": list(keys)})
    return {row.key: row.form for row in rows}


async def agencies(tx: ReadTransaction, codes: Collection[str], *, below: bool = False) -> list[Agency]:
    """The known ones of these agencies; `below`: those that stand directly below one of them on some day or other."""
    rows = await tx.execute(_BELOW if below else _NAMED, {"codes": sorted(codes)})
    return [
        Agency(
            row.code,
            row.kind,
            Parents(
                row.parent, tuple(ParentSince(date.fromisoformat(one["since"]), one["code"]) for one in row.parents)
            ),
            row.opened_on,
            row.closed_on,
        )
        for row in rows
    ]


async def terms(tx: ReadTransaction, keys: Collection[str]) -> dict[str, tuple[Validity, Submitters]]:
    """Of which periods these regime versions are and who reports under them, by registry key, as far as it is known."""
    rows = await tx.execute(_TERMS, {"keys": sorted(keys)})
    return {
        row.key: (Validity.model_validate_json(row.validity), Submitters.model_validate_json(row.submitters))
        for row in rows
    }


async def lock_references(tx: Transaction, keys: Sequence[str]) -> dict[str, tuple[int, date, str]]:
    """Known versions of reference tables: event version seen last, first day, checksum. Their rows are locked."""
    rows = await tx.execute(_LOCK_REFERENCES, {"keys": list(keys)})
    return {row.key: (row.version, row.effective_from, row.checksum) for row in rows}


async def references_in_force(tx: ReadTransaction, asked: Collection[tuple[str, date]]) -> dict[tuple[str, date], str]:
    """The registry key of the version of a table that is in force on the day, by code and day."""
    rows = await tx.execute(_IN_FORCE, bulk.parameters(_DAYS, asked))
    return {(row.code, row.day): row.key for row in rows}


async def reference(tx: ReadTransaction, key: str) -> str:
    """Columns and rows of a version of a table, as JSON: `{"columns": […], "rows": […]}`."""
    return str((await tx.execute(_REFERENCE, {"key": key})).scalar_one())


async def validities(tx: ReadTransaction, code: str) -> dict[int, Validity | None]:
    """The known versions of a regime; None where it is not known of which periods one is."""
    rows = await tx.execute(_VALIDITIES, {"code": code})
    return {
        row.regime_version: None if row.validity is None else Validity.model_validate_json(row.validity) for row in rows
    }


async def in_place(tx: Transaction, names: Sequence[str]) -> dict[str, str]:
    """The registry key by whose form each of these is judged, its own or that of its replacement, where known."""
    rows = await tx.execute(_KEYS_IN_PLACE, {"names": list(names)})
    return {row.name: row.key for row in rows}


async def governing(tx: ReadTransaction, names: Sequence[str], agencies: Sequence[str], day: date) -> list[Governing]:
    """As `in_place`, with the waivers of the regime's rules for any of these agencies that last until that day."""
    rows = await tx.execute(_GOVERNING, {"names": list(names), "agencies": list(agencies), "day": day})
    return [Governing(row.name, row.key, _waivers(row.waivers)) for row in rows]


def _waivers(found: str | None) -> tuple[WaiverGranted, ...]:
    return () if found is None else tuple(map(WaiverGranted.model_validate, json.loads(found)))


async def accepted_figures(tx: Transaction, obligations: Sequence[str]) -> dict[str, list[Held[bool | None]]]:
    """Of those with accepted versions: whether each had a figure other than 0."""
    found: dict[str, list[Held[bool | None]]] = defaultdict(list)
    for row in await tx.execute(_ACCEPTED_FIGURES, {"keys": list(obligations)}):
        found[row.obligation].append((row.withdrawn_at, row.any_nonzero))
    return found


async def looked_back_to(tx: ReadTransaction, obligations: Sequence[str]) -> dict[str, list[Held[Earlier | None]]]:
    """The accepted versions of each of these; None where the figures are not kept."""
    return _held(await tx.execute(_LOOKED_BACK_TO, {"keys": list(obligations)}))


async def added_up(
    tx: ReadTransaction, obligations: Sequence[str], codes: Sequence[str]
) -> dict[str, list[Held[Earlier | None]]]:
    """As `looked_back_to`, with these figures alone: the reports may be a thousand, and each a long one."""
    return _held(await tx.execute(_ADDED_UP, {"keys": list(obligations), "codes": list(codes)}))


def _held(rows: Iterable[Any]) -> dict[str, list[Held[Earlier | None]]]:
    found: dict[str, list[Held[Earlier | None]]] = defaultdict(list)
    for row in rows:
        held = None if row.figures is None else Earlier(row.submission_id, row.figures)
        found[row.obligation].append((row.withdrawn_at, held))
    return found


async def withdrawals(tx: ReadTransaction, submissions: Sequence[UUID]) -> dict[UUID, datetime]:
    """When each of these was withdrawn, where it was."""
    rows = await tx.execute(_WITHDRAWALS, {"ids": list(submissions)})
    return {row.submission_id: row.withdrawn_at for row in rows}


async def insert_withdrawals(tx: Transaction, rows: Iterable[tuple[UUID, str, datetime]]) -> None:
    """Keep withdrawals: submission, obligation, moment. The first of a submission stays."""
    if given := list(rows):
        await tx.execute(_INSERT_WITHDRAWALS, bulk.parameters(_WITHDRAWAL, given))


async def returned_for(tx: Transaction, obligations: Sequence[str], code: str) -> set[str]:
    """Those of which a version was returned with this finding."""
    rows = await tx.execute(_RETURNED_FOR, {"keys": list(obligations), "code": code})
    return {row.obligation for row in rows}


async def insert_verdicts(
    tx: Transaction,
    verdicts: Sequence[VerdictReached],
    any_nonzero: Sequence[bool | None],
    figures: Sequence[Mapping[str, str] | None],
    resembles: Sequence[Sequence[UUID]],
) -> set[UUID]:
    """Insert the verdicts on submissions that have none; returns the ids of those inserted.

    any_nonzero, figures: of each verdict's report, for reports to come. resembles: what it is a near-copy of.

    Raises IntegrityError (verdict_once_per_version) where another submission already has this version's verdict.
    """
    rows_given = (
        (
            *values,
            flag,
            _json_list(verdict.compared_with or ()),
            None if given is None else _json(given),
            _json_list(like),
            _json_list(verdict.looked_up or ()),
        )
        for verdict, values, flag, given, like in zip(
            verdicts, map(attrgetter(*_COLUMNS), verdicts), any_nonzero, figures, resembles, strict=True
        )
    )
    columns = bulk.parameters(_STORED, rows_given)
    rows = await tx.execute(_INSERT_VERDICTS, columns)
    # the driver's UUIDs are a subclass of ours and equal to them
    return {row.verdict_id for row in rows}


async def insert_not_judged(
    tx: Transaction, said: Sequence[NotJudged], reports: Sequence[bytes]
) -> set[UUID]:  # fmt: skip
    """Keep what could not be judged, with the submission's event; returns the submissions that are new."""
    rows = [
        (one.submission_id, one.obligation, one.version, one.verdict_id, one.encode().decode(), report)
        for one, report in zip(said, reports, strict=True)
    ]
    return {row[0] for row in await tx.execute(_INSERT_NOT_JUDGED, bulk.parameters(_NOT_JUDGED_ROW, rows))}


async def not_judged(tx: ReadTransaction, limit: int) -> Sequence[RowMapping]:
    """What could not be judged and is not judged yet, the oldest first."""
    return (await tx.execute(_NOT_JUDGED, {"limit": limit})).mappings().all()


async def report_not_judged(tx: ReadTransaction, submission_id: UUID) -> bytes | None:
    """The event of a submission that could not be judged and is not judged yet."""
    report = (await tx.execute(_REPORT_NOT_JUDGED, {"id": submission_id})).scalar_one_or_none()
    return None if report is None else bytes(report)


async def lock_not_judged(tx: Transaction, submission_id: UUID) -> bool:
    """Lock it; False if it is judged by now."""
    return (await tx.execute(_LOCK_NOT_JUDGED, {"id": submission_id})).first() is not None


async def note_try(tx: Transaction, submission_id: UUID) -> None:
    """It was tried again, in vain."""
    await tx.execute(_NOTE_TRY, {"id": submission_id})


async def end_not_judged(tx: Transaction, submission_id: UUID) -> None:
    """It is judged now, in this transaction."""
    await tx.execute(_END_NOT_JUDGED, {"id": submission_id})


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _json_list(values: Sequence[UUID | str]) -> str:
    return msgspec.json.encode(list(map(str, values))).decode() if values else "[]"


async def last_fingerprints(tx: ReadTransaction, obligations: Sequence[str]) -> dict[tuple[str, str], list[Held[Kept]]]:
    """The sections of the accepted versions of each of these, by obligation and section."""
    found: dict[tuple[str, str], list[Held[Kept]]] = defaultdict(list)
    for row in await tx.execute(_LAST_FINGERPRINTS, {"keys": list(obligations)}):
        found[row.obligation, row.section].append((row.withdrawn_at, Kept(*row[2:-1])))
    return found


async def candidates(
    tx: ReadTransaction, asked: Sequence[tuple[str, datetime, Sequence[int]]], *, limit: int
) -> list[list[Kept]]:
    """For each (agency, received at, bands): sections of other agencies, received earlier, that share a band."""
    rows = ((place, agency, at, _array(bands)) for place, (agency, at, bands) in enumerate(asked))
    found: list[list[Kept]] = [[] for _ in asked]
    for row in await tx.execute(_CANDIDATES, bulk.parameters(_ASKED, rows) | {"limit": limit}):
        found[row.place].append(Kept(*row[1:]))
    return found


async def insert_fingerprints(tx: Transaction, rows: Iterable[tuple[str, int, Kept, Sequence[int]]]) -> None:
    """Keep sections of accepted reports: section, version of the submission, fingerprint, bands."""
    given = [
        (kept.submission_id, section, kept.obligation, kept.agency, version, kept.received_at, kept.buckets,
         _array(bands))
        for section, version, kept, bands in rows
    ]  # fmt: skip
    if given:
        await tx.execute(_INSERT_FINGERPRINTS, bulk.parameters(_FINGERPRINT_ROW, given))


def _array(numbers: Iterable[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"


class Looking(NamedTuple):
    """An accepted report whose rules look at other reports, and at which obligations'."""

    submission_id: UUID
    obligation: str
    version: int
    content: Mapping[str, Any]
    said: Sequence[Mapping[str, Any]]
    at: Sequence[str]


class Queued(NamedTuple):
    """A report to be judged again, with its verdict in force and that verdict's findings."""

    verdict: RowMapping
    content: dict[str, Any]
    said: list[dict[str, Any]]
    found: list[dict[str, Any]]

    @property
    def findings(self) -> list[Finding]:
        return [Finding.model_validate(shown) for shown in self.found]


async def note_looking(tx: Transaction, rows: Sequence[Looking]) -> None:
    """Keep these, whose verdicts are new, and queue each once by itself; but for those with a newer accepted version.

    One report of an obligation at most: its newest.
    """
    if not rows:
        return
    given = [(row.submission_id, row.obligation, _json(row.content), _json(row.said), row.version) for row in rows]
    inserted = await tx.execute(_INSERT_LOOKING, bulk.parameters(_LOOKING_ROW | {"version": "int"}, given))
    kept = set(inserted.scalars())
    keys = [(key, row.submission_id) for row in rows if row.submission_id in kept for key in row.at]
    await tx.execute(_INSERT_LOOKED_AT, bulk.parameters(_LOOKED_AT_ROW, keys))
    await tx.execute(_QUEUE, {"own": sorted(kept)})


async def stamp_queue(tx: Transaction) -> None:
    """Note of new rows which transactions may still hold what they are to see."""
    await tx.execute(_STAMP)


async def queue_again(tx: Transaction, submissions: Iterable[UUID]) -> None:
    """Put back what was taken out of the queue."""
    if own := sorted(submissions):
        await tx.execute(_QUEUE, {"own": own})


async def take_queue(tx: Transaction, limit: int, *, without: Iterable[UUID] = ()) -> list[Queued]:
    """Take reports whose time has come out of the queue; their rows stay locked. Older versions are dropped."""
    await tx.execute(_FORGET)
    rows = (await tx.execute(_TAKE, {"limit": limit, "without": sorted(without)})).mappings().all()
    findings: dict[UUID, list[dict[str, Any]]] = {}
    for found in (await tx.execute(_FINDINGS_OF, {"ids": [row["verdict_id"] for row in rows]})).mappings():
        shown = {name: found[name] for name in FINDING_SHOWN}
        findings.setdefault(found["verdict_id"], []).append(shown)
    return [Queued(row, row["content"], row["said"], findings.get(row["verdict_id"], [])) for row in rows]


async def replace_verdicts(
    tx: Transaction, given: Sequence[tuple[VerdictReached, VerdictReached, Sequence[Mapping[str, Any]], Sequence[str]]]
) -> None:
    """Put each verdict in the place of the one before it, with what rules about others said and what they look at."""
    if not given:
        return
    earlier = [
        (old.verdict_id, old.submission_id, old.obligation, old.revision, old.encode().decode())
        for _, old, _, _ in given
    ]
    await tx.execute(_KEEP_EARLIER, bulk.parameters(_EARLIER_ROW, earlier))
    await tx.execute(_DROP_FINDINGS, {"ids": [old.verdict_id for _, old, _, _ in given]})
    rows = [
        (new.submission_id, new.verdict_id, new.revision, new.decided_at, new.warnings, new.waived,
         new.findings_truncated, _json_list(new.compared_with or ()))
        for new, _, _, _ in given
    ]  # fmt: skip
    await tx.execute(_REPLACE, bulk.parameters(_REPLACED_ROW, rows))
    await insert_findings(tx, [new for new, _, _, _ in given])
    said = [(new.submission_id, json.dumps(found)) for new, _, found, _ in given]
    await tx.execute(_SAY, bulk.parameters(_SAID_ROW, said))
    keys = [(key, new.submission_id) for new, _, _, at in given for key in at]
    await tx.execute(_INSERT_LOOKED_AT, bulk.parameters(_LOOKED_AT_ROW, keys))


async def insert_findings(tx: Transaction, verdicts: Sequence[VerdictReached]) -> None:
    """Insert the findings of these verdicts, numbered from 0 in the verdict's order."""
    texts = attrgetter(*FINDING_SHOWN[:-1])
    lines = [
        (verdict.verdict_id, position, *texts(finding), finding.waived and finding.waived.model_dump_json())
        for verdict in verdicts
        for position, finding in enumerate(verdict.findings)
    ]
    if not lines:
        return
    await tx.execute(_INSERT_FINDINGS, bulk.parameters(_FINDING_ROW, lines))


async def verdict_on(snapshot: ReadTransaction, submission_id: UUID) -> tuple[RowMapping, Sequence[RowMapping]] | None:
    """The verdict on a submission and its findings in order."""
    verdict = (await snapshot.execute(_BY_SUBMISSION, {"submission_id": submission_id})).mappings().one_or_none()
    if verdict is None:
        return None
    findings = (await snapshot.execute(_FINDINGS, {"verdict_id": verdict["verdict_id"]})).mappings().all()
    return verdict, findings


async def verdicts_of(
    snapshot: ReadTransaction, obligation: str, *, before_version: int, limit: int
) -> Sequence[RowMapping]:
    """Verdicts of an obligation, the newest version first, below `before_version`."""
    parameters = {"obligation": obligation, "before": before_version, "limit": limit}
    return (await snapshot.execute(_BY_OBLIGATION, parameters)).mappings().all()
