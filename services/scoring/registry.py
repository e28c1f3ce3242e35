"""Scoring's copy of intake's registry: an older version never overwrites a newer one, and a change is planned for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import Any, TypeVar

from sqlalchemy import text

from services.scoring.obligations.deadlines import Agency, Regime, Request, Unplanned
from shared.contract.events import AgencyRegistered, OfficerRegistered, RegimePublished, RequestIssued
from shared.contract.events.registry import Cutoff, Deadline
from shared.postgres.database import Reading, Transaction

E = TypeVar("E", AgencyRegistered, RegimePublished, OfficerRegistered, RequestIssued)

# A changed agency is planned for again by the generator; a repeated or older version changes nothing.
_AGENCIES = text("""
    INSERT INTO agencies (code, kind, name, name_en, parent, opened_on, closed_on, version)
    SELECT * FROM unnest(CAST(:code AS text[]), CAST(:kind AS text[]), CAST(:name AS text[]), CAST(:name_en AS text[]),
                         CAST(:parent AS text[]), CAST(:opened_on AS date[]), CAST(:closed_on AS date[]),
                         CAST(:version AS int[]))
    ON CONFLICT (code) DO UPDATE SET
        kind = excluded.kind, name = excluded.name, name_en = excluded.name_en, parent = excluded.parent,
        opened_on = excluded.opened_on, closed_on = excluded.closed_on, version = excluded.version, planned = false
     WHERE agencies.version < excluded.version
""")
_REGIMES = text("""
    INSERT INTO regimes (code, regime_version, name, name_en, frequency, effective_from, effective_to, submitter_kinds,
                         submitters, cutoff, deadline, remind_working_days, version)
    SELECT code, regime_version, name, name_en, frequency, effective_from, effective_to,
           ARRAY(SELECT jsonb_array_elements_text(submitter_kinds)),
           ARRAY(SELECT jsonb_array_elements_text(submitters)),
           cutoff, deadline, remind_working_days, version
      FROM unnest(CAST(:code AS text[]), CAST(:regime_version AS int[]), CAST(:name AS text[]),
                  CAST(:name_en AS text[]), CAST(:frequency AS text[]), CAST(:effective_from AS date[]),
                  CAST(:effective_to AS date[]), CAST(:submitter_kinds AS jsonb[]), CAST(:submitters AS jsonb[]),
                  CAST(:cutoff AS jsonb[]), CAST(:deadline AS jsonb[]), CAST(:remind_working_days AS int[]),
                  CAST(:version AS int[]))
           AS r (code, regime_version, name, name_en, frequency, effective_from, effective_to, submitter_kinds,
                 submitters, cutoff, deadline, remind_working_days, version)
    ON CONFLICT (code, regime_version) DO UPDATE SET
        name = excluded.name, name_en = excluded.name_en, frequency = excluded.frequency,
        effective_from = excluded.effective_from, effective_to = excluded.effective_to,
        submitter_kinds = excluded.submitter_kinds, submitters = excluded.submitters, cutoff = excluded.cutoff,
        deadline = excluded.deadline, remind_working_days = excluded.remind_working_days, version = excluded.version
     WHERE regimes.version < excluded.version
    RETURNING code
""")
_OFFICERS = text("""
    INSERT INTO officers (officer_id, agency, name, role, regimes, active, version)
    SELECT officer_id, agency, name, role, ARRAY(SELECT jsonb_array_elements_text(regimes)), active, version
      FROM unnest(CAST(:officer_id AS text[]), CAST(:agency AS text[]), CAST(:name AS text[]), CAST(:role AS text[]),
                  CAST(:regimes AS jsonb[]), CAST(:active AS boolean[]), CAST(:version AS int[]))
           AS f (officer_id, agency, name, role, regimes, active, version)
    ON CONFLICT (officer_id) DO UPDATE SET
        agency = excluded.agency, name = excluded.name, role = excluded.role, regimes = excluded.regimes,
        active = excluded.active, version = excluded.version
     WHERE officers.version < excluded.version
""")
_REQUESTS = text("""
    INSERT INTO requests (request_id, regime, title, title_en, issued_at, deadline, agencies, version)
    SELECT request_id, regime, title, title_en, issued_at, deadline,
           ARRAY(SELECT jsonb_array_elements_text(agencies)), version
      FROM unnest(CAST(:request_id AS text[]), CAST(:regime AS text[]), CAST(:title AS text[]),
                  CAST(:title_en AS text[]), CAST(:issued_at AS timestamptz[]), CAST(:deadline AS timestamptz[]),
                  CAST(:agencies AS jsonb[]), CAST(:version AS int[]))
           AS q (request_id, regime, title, title_en, issued_at, deadline, agencies, version)
    ON CONFLICT (request_id) DO UPDATE SET
        regime = excluded.regime, title = excluded.title, title_en = excluded.title_en,
        issued_at = excluded.issued_at, deadline = excluded.deadline, agencies = excluded.agencies,
        version = excluded.version
     WHERE requests.version < excluded.version
    RETURNING request_id
""")
_UNPLAN = text("""
    DELETE FROM plans
     WHERE regime = ANY(CAST(:regimes AS text[])) OR period = ANY(CAST(:requests AS text[]))
""")

_READ_REGIMES = text("""
    SELECT code, regime_version, frequency, effective_from, effective_to, submitter_kinds, submitters,
           CAST(cutoff AS text), CAST(deadline AS text), remind_working_days
      FROM regimes WHERE :all OR code = ANY(CAST(:codes AS text[])) ORDER BY code, regime_version
""")
_READ_AGENCIES = text("SELECT code, kind, opened_on, closed_on FROM agencies WHERE code = ANY(CAST(:codes AS text[]))")
_READ_REQUESTS = text("""
    SELECT request_id, regime, issued_at, deadline, agencies
      FROM requests WHERE :all OR request_id = ANY(CAST(:ids AS text[])) ORDER BY request_id
""")
_CHANGES = text("SELECT code, sum(version) FROM regimes WHERE code = ANY(CAST(:codes AS text[])) GROUP BY code")
_REQUEST_VERSIONS = text("SELECT request_id, version FROM requests WHERE request_id = ANY(CAST(:ids AS text[]))")
# The officer named for the regime goes before one who answers for all; ties by id, so that the answer is one.
_READ_OFFICERS = text("""
    SELECT DISTINCT ON (asked.agency, asked.regime) asked.agency, asked.regime, f.officer_id
      FROM unnest(CAST(:agencies AS text[]), CAST(:regimes AS text[])) AS asked (agency, regime)
      JOIN officers AS f ON f.agency = asked.agency AND f.active AND f.role = 'reporting_officer'
       AND (f.regimes = '{}' OR asked.regime = ANY(f.regimes))
     ORDER BY asked.agency, asked.regime, f.regimes = '{}', f.officer_id
""")


async def take_agencies(tx: Transaction, events: Sequence[AgencyRegistered]) -> None:
    """Upsert the newest version of each agency."""
    newest = _newest(events)
    if newest:
        names = ("code", "kind", "name", "name_en", "parent", "opened_on", "closed_on", "version")
        await tx.execute(_AGENCIES, _columns(newest, names))


async def take_regimes(tx: Transaction, events: Sequence[RegimePublished]) -> set[str]:
    """Upsert regime versions. Returns the codes of regimes that changed."""
    newest = _newest(events)
    if not newest:
        return set()
    names = ("code", "regime_version", "name", "name_en", "frequency", "effective_from", "effective_to",
             "remind_working_days", "version")  # fmt: skip
    parameters = _columns(newest, names) | {
        "submitter_kinds": [_json_list(event.submitter_kinds) for event in newest],
        "submitters": [_json_list(event.submitters) for event in newest],
        "cutoff": [event.cutoff.model_dump_json() for event in newest],
        "deadline": [event.deadline.model_dump_json() for event in newest],
    }
    return set((await tx.execute(_REGIMES, parameters)).scalars())


async def take_officers(tx: Transaction, events: Sequence[OfficerRegistered]) -> None:
    """Upsert the newest version of each officer."""
    newest = _newest(events)
    if newest:
        parameters = _columns(newest, ("officer_id", "agency", "name", "role", "active", "version"))
        await tx.execute(_OFFICERS, parameters | {"regimes": [_json_list(event.regimes) for event in newest]})


async def take_requests(tx: Transaction, events: Sequence[RequestIssued]) -> set[str]:
    """Upsert ad hoc requests. Returns the ids of those that changed."""
    newest = _newest(events)
    if not newest:
        return set()
    parameters = _columns(newest, ("request_id", "regime", "title", "title_en", "issued_at", "deadline", "version")) | {
        "agencies": [_json_list(event.agencies) for event in newest]
    }
    return set((await tx.execute(_REQUESTS, parameters)).scalars())


async def unplan(tx: Transaction, regimes: set[str], requests: set[str]) -> None:
    """Have the generator look at the periods of these regimes and requests again."""
    if regimes or requests:
        await tx.execute(_UNPLAN, {"regimes": sorted(regimes), "requests": sorted(requests)})


async def read_regimes(
    tx: Reading, codes: Sequence[str] | None = None, *, unreadable: list[Unplanned] | None = None
) -> dict[str, list[Regime]]:
    """All versions of these regimes (None: of all), by code.

    A regime with a version that cannot be read is left out whole and named in `unreadable`: without that version an
    older one would seem to govern.
    """
    found: dict[str, list[Regime]] = {}
    broken: list[Unplanned] = []
    for row in await tx.execute(_READ_REGIMES, {"all": codes is None, "codes": list(codes or ())}):
        try:
            found.setdefault(row[0], []).append(_regime(row))
        except ValueError as error:
            broken.append(Unplanned(row[0], row[1], "*", f"{type(error).__name__}: {error}"[:500]))
    for each in broken:
        found.pop(each.regime, None)
    if unreadable is not None:
        unreadable += broken
    return found


async def regime_changes(tx: Reading, codes: Sequence[str]) -> dict[str, int]:
    """A number for each regime that grows with every record of it that arrives, new version or replaced one."""
    return {row[0]: int(row[1]) for row in await tx.execute(_CHANGES, {"codes": list(codes)})}


async def request_versions(tx: Reading, ids: Sequence[str]) -> dict[str, int]:
    """The version of each request's record."""
    return {row[0]: row[1] for row in await tx.execute(_REQUEST_VERSIONS, {"ids": list(ids)})}


async def read_agencies(tx: Reading, codes: Sequence[str]) -> dict[str, Agency]:
    """These agencies, by code."""
    return {row[0]: Agency(*row) for row in await tx.execute(_READ_AGENCIES, {"codes": list(codes)})}


async def read_requests(tx: Reading, ids: Sequence[str] | None = None) -> dict[str, Request]:
    """These requests (None: all), by id."""
    rows = await tx.execute(_READ_REQUESTS, {"all": ids is None, "ids": list(ids or ())})
    return {row[0]: Request(row[0], row[1], row[2], row[3], tuple(row[4])) for row in rows}


async def reporting_officers(tx: Reading, asked: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """(agency, regime) -> the id of the reporting officer who answers for it, where there is one."""
    if not asked:
        return {}
    agencies, regimes = zip(*sorted(set(asked)), strict=True)
    rows = await tx.execute(_READ_OFFICERS, {"agencies": list(agencies), "regimes": list(regimes)})
    return {(row[0], row[1]): row[2] for row in rows}


def _newest(events: Sequence[E]) -> list[E]:
    newest: dict[str, E] = {}
    for event in events:
        if event.key not in newest or event.version > newest[event.key].version:
            newest[event.key] = event
    return [newest[key] for key in sorted(newest)]


def _columns(events: Sequence[Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: [getattr(event, name) for event in events] for name in names}


def _json_list(values: Sequence[str]) -> str:
    return json.dumps(list(values))


def _regime(row: Sequence[Any]) -> Regime:
    effective_from: date = row[3]
    return Regime(
        row[0], row[1], row[2], effective_from, row[4], tuple(row[5]), tuple(row[6]),
        Cutoff.model_validate_json(row[7]), Deadline.model_validate_json(row[8]), row[9],
    )  # fmt: skip
