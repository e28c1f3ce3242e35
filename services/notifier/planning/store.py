"""Queries of the handlers: the registry copy, obligations, and what enters or leaves the ledger before a mail begins.

Everything is set-based: a batch costs a handful of statements whatever its size. Nothing here commits.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import text

from services.notifier import tables
from services.notifier.delivery.states import message_id
from services.notifier.planning.directory import Agency, Directory, Officer
from services.notifier.planning.domain import Cancel, Facts, Notification, Obligation
from services.notifier.templates.compose import FACTS
from shared.contract.events import AgencyRegistered, OfficerRegistered, RegimePublished, RequestIssued
from shared.contract.ids import new_id
from shared.outbox import cause_of
from shared.postgres.database import Transaction
from shared.projection import Projection

AGENCIES = Projection(tables.agencies, AgencyRegistered)
OFFICERS = Projection(tables.officers, OfficerRegistered)
#: what regimes and requests are called, and what they stand on
REGIMES = Projection(tables.regimes, RegimePublished, values={"nil_allowed": lambda regime: regime.form.nil_allowed})
REQUESTS = Projection(tables.requests, RequestIssued)

_KNOWN = text("""
    SELECT 'agency/' || code FROM agencies WHERE 'agency/' || code = ANY(CAST(:names AS text[]))
    UNION ALL
    SELECT 'officer/' || officer_id FROM officers WHERE 'officer/' || officer_id = ANY(CAST(:names AS text[]))
""")

_AGENCIES = text("""
    WITH RECURSIVE up AS (
        SELECT code, name, name_en, parent, closed_on FROM agencies WHERE code = ANY(CAST(:codes AS text[]))
        UNION
        SELECT a.code, a.name, a.name_en, a.parent, a.closed_on FROM agencies a JOIN up ON a.code = up.parent
    )
    SELECT code, name, name_en, parent, closed_on FROM up
""")

_OFFICERS = text("""
    SELECT officer_id, agency, name, title, email, role, regimes, active FROM officers
     WHERE agency = ANY(CAST(:codes AS text[])) OR officer_id = ANY(CAST(:ids AS text[]))
""")

_ENSURE_OBLIGATIONS = text("""
    INSERT INTO obligations (obligation, agency, regime, regime_version, period)
    SELECT key, agency, regime, regime_version, period
      FROM unnest(CAST(:keys AS text[]), CAST(:agencies AS text[]), CAST(:regimes AS text[]),
                  CAST(:regime_versions AS int[]), CAST(:periods AS text[]))
        AS r (key, agency, regime, regime_version, period) ORDER BY key
    ON CONFLICT DO NOTHING
""")

_LOCK_OBLIGATIONS = text("""
    SELECT obligation AS key, agency, regime, regime_version, period, deadline, standing, version, verdict_version,
           accepted_version
      FROM obligations WHERE obligation = ANY(CAST(:keys AS text[])) ORDER BY obligation FOR UPDATE
""")

_SAVE_OBLIGATIONS = text("""
    UPDATE obligations o
       SET regime_version = s.regime_version, deadline = s.deadline, standing = s.standing, version = s.version,
           verdict_version = s.verdict_version, accepted_version = s.accepted_version
      FROM unnest(CAST(:keys AS text[]), CAST(:regime_versions AS int[]), CAST(:deadlines AS timestamptz[]),
                  CAST(:standings AS text[]), CAST(:versions AS int[]), CAST(:verdict_versions AS int[]),
                  CAST(:accepted_versions AS int[]))
        AS s (key, regime_version, deadline, standing, version, verdict_version, accepted_version)
     WHERE o.obligation = s.key
""")

# A mail that is claimed but not yet in DATA loses its token, so its sender must not begin; one in DATA is left to it.
# Of an unknown one only the resend is stopped: that it may have arrived stays true.
_CANCEL = text("""
    WITH stops AS (
        SELECT key, kind, reason, up_to
          FROM unnest(CAST(:keys AS text[]), CAST(:kinds AS text[]), CAST(:reasons AS text[]), CAST(:up_tos AS int[]))
            AS s (key, kind, reason, up_to)
    ), stopped AS (
        SELECT n.id, n.token, s.reason FROM notifications n
          JOIN stops s ON s.key = n.obligation AND s.kind = n.kind
         WHERE (n.state IN ('pending', 'retry', 'claimed') OR (n.state = 'unknown' AND n.due_at IS NOT NULL))
           AND (n.kind <> 'returned' OR n.submission_version <= s.up_to)
         ORDER BY n.id FOR UPDATE OF n
    ), closed AS (
        UPDATE attempts a SET outcome = 'cancelled', ended_at = :now, stage = 'lease', answer = stopped.reason
          FROM stopped WHERE a.token = stopped.token AND a.outcome IS NULL
    )
    UPDATE notifications n
       SET state = CASE WHEN n.unknowns > 0 THEN 'unknown' ELSE 'cancelled' END,
           reason = CASE WHEN n.unknowns > 0 THEN n.reason ELSE stopped.reason END,
           due_at = NULL, token = NULL, lease_until = NULL
      FROM stopped WHERE n.id = stopped.id
""")

_INSERT_NOTIFICATIONS = text("""
    INSERT INTO notifications (id, obligation, agency, regime, period, kind, step, officer_id, channel, recipient,
                               message_id, submission_version, facts, state, reason, created_at, due_at,
                               traceparent)
    SELECT id, obligation, agency, regime, period, kind, step, officer_id, 'email', recipient, message_id,
           submission_version, facts, CASE WHEN told THEN 'cancelled' ELSE state END,
           CASE WHEN told THEN 'told_before' ELSE reason END, created_at, CASE WHEN NOT told THEN due_at END,
           traceparent
      FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS r (id uuid, obligation text, agency text, regime text, period text, kind text, step text, officer_id text,
              recipient text, message_id text, submission_version int, facts jsonb, state text, reason text,
              created_at timestamptz, due_at timestamptz, traceparent text)
      CROSS JOIN LATERAL (SELECT state = 'pending' AND EXISTS (SELECT FROM told_before WHERE until >= created_at))
                   AS before (told)
     ORDER BY id
    ON CONFLICT ON CONSTRAINT notifications_once DO NOTHING
    RETURNING kind, state
""")

#: whether a notification n of the obligation o still tells the truth
STILL_SO = """CASE n.kind
             WHEN 'returned' THEN n.submission_version = o.verdict_version
                                  AND n.submission_version > o.accepted_version
             WHEN 'reminder' THEN o.accepted_version = 0 AND NOT EXISTS (
                 SELECT FROM notifications later WHERE later.obligation = n.obligation AND later.kind = 'overdue')
             ELSE o.accepted_version = 0
           END"""

_SKIPPED = text(f"""
    SELECT n.id, n.obligation, n.agency, n.regime, n.kind, n.step, n.facts FROM notifications n
      JOIN obligations o ON o.obligation = n.obligation
     WHERE n.state = 'skipped' AND NOT EXISTS (SELECT FROM told_before WHERE until >= n.created_at)
       AND n.kind <> 'escalation' AND n.agency = ANY(CAST(:agencies AS text[])) AND {STILL_SO}
     ORDER BY n.obligation, n.id FOR UPDATE OF o, n
""")  # noqa: S608 - constants

_REVIVE = text("""
    UPDATE notifications n
       SET state = 'pending', reason = NULL, officer_id = r.officer_id, recipient = r.recipient,
           message_id = r.message_id, facts = r.facts, due_at = :now
      FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS r (id uuid, officer_id text, recipient text, message_id text, facts jsonb)
     WHERE n.id = r.id AND n.state = 'skipped'
""")


_TOLD_BEFORE = text("""
    INSERT INTO told_before (until) SELECT :until WHERE NOT EXISTS (SELECT FROM notifications)
    ON CONFLICT DO NOTHING
    RETURNING until
""")


async def rebuild(tx: Transaction, told_until: datetime) -> bool:
    """Begin an empty database in place of a lost one. False where it is not empty."""
    return (await tx.execute(_TOLD_BEFORE, {"until": told_until})).first() is not None


async def known(tx: Transaction, names: Sequence[str]) -> set[str]:
    """Which of the names (`agency/<code>`, `officer/<id>`) the registry has told of."""
    return set((await tx.execute(_KNOWN, {"names": list(names)})).scalars())


async def directory(tx: Transaction, agencies: Collection[str], officers: Collection[str] = ()) -> Directory:
    """The agencies with all above them, everybody in them, and the named officers wherever they are."""
    if not agencies:
        return Directory()
    rows = (await tx.execute(_AGENCIES, {"codes": sorted(set(agencies))})).mappings().all()
    found = [Agency(**row) for row in rows]
    people = await tx.execute(_OFFICERS, {"codes": [each.code for each in found], "ids": sorted(set(officers))})
    return Directory.of(found, (Officer(**{**row, "regimes": tuple(row["regimes"])}) for row in people.mappings()))


async def lock_obligations(tx: Transaction, seeds: Mapping[str, Obligation]) -> dict[str, Obligation]:
    """Lock the rows of these keys, made from the seeds where they are missing. Two statements, keys sorted."""
    if not seeds:
        return {}
    keys = sorted(seeds)
    await tx.execute(
        _ENSURE_OBLIGATIONS,
        {
            "keys": keys,
            "agencies": [seeds[key].agency for key in keys],
            "regimes": [seeds[key].regime for key in keys],
            "regime_versions": [seeds[key].regime_version for key in keys],
            "periods": [seeds[key].period for key in keys],
        },
    )
    rows = await tx.execute(_LOCK_OBLIGATIONS, {"keys": keys})
    return {row["key"]: Obligation(**row) for row in rows.mappings()}


async def save_obligations(tx: Transaction, changed: Collection[Obligation]) -> None:
    """Write back locked obligations."""
    if not changed:
        return
    ordered = sorted(changed, key=lambda each: each.key)
    await tx.execute(
        _SAVE_OBLIGATIONS,
        {
            "keys": [each.key for each in ordered],
            "regime_versions": [each.regime_version for each in ordered],
            "deadlines": [each.deadline for each in ordered],
            "standings": [each.standing for each in ordered],
            "versions": [each.version for each in ordered],
            "verdict_versions": [each.verdict_version for each in ordered],
            "accepted_versions": [each.accepted_version for each in ordered],
        },
    )


async def cancel(tx: Transaction, cancels: Collection[Cancel], now: datetime) -> int:
    """Stop what has not begun DATA. `now` is system time. Returns how many were stopped."""
    rows: dict[tuple[str, str], Cancel] = {}
    for each in cancels:
        for kind in each.kinds:
            rows[each.obligation, kind] = _further(rows.get((each.obligation, kind)), each)
    if not rows:
        return 0
    ordered = sorted(rows)
    result = await tx.execute(
        _CANCEL,
        {
            "keys": [key for key, _ in ordered],
            "kinds": [kind for _, kind in ordered],
            "reasons": [rows[each].reason for each in ordered],
            "up_tos": [rows[each].up_to_submission_version for each in ordered],
            "now": now,
        },
    )
    return result.rowcount


async def insert_notifications(
    tx: Transaction, notifications: Sequence[Notification], *, now: datetime, domain: str
) -> list[tuple[str, str]]:
    """Enter notifications into the ledger, due at once; one that is there already is left as it is.

    now: system time; domain: right side of the Message-IDs. Returns (kind, state) of those entered.
    """
    if not notifications:
        return []
    rows = [_row(each, now, domain) for each in notifications]
    result = await tx.execute(_INSERT_NOTIFICATIONS, {"rows": json.dumps(rows)})
    return [(kind, state) for kind, state in result]


async def revive_skipped(tx: Transaction, agencies: Collection[str], *, now: datetime, domain: str) -> int:
    """Give notices that nobody could receive to officers registered since, if they still tell the truth."""
    rows = (await tx.execute(_SKIPPED, {"agencies": sorted(set(agencies))})).mappings().all()
    if not rows:
        return 0
    people = await directory(tx, {row["agency"] for row in rows})
    revived: list[dict[str, Any]] = []
    for row in rows:
        officer = people.responsible(row["agency"], row["regime"])
        if officer is None:
            continue
        facts = replace(FACTS.validate_python(row["facts"]), recipient_name=officer.name, recipient_title=officer.title)
        revived.append(
            {
                "id": str(row["id"]),
                "officer_id": officer.officer_id,
                "recipient": officer.email,
                "message_id": message_id(row["obligation"], row["step"], officer.officer_id, "email", domain),
                "facts": _facts(facts),
            }
        )
    if revived:
        await tx.execute(_REVIVE, {"rows": json.dumps(revived), "now": now})
    return len(revived)


def _row(each: Notification, now: datetime, domain: str) -> dict[str, Any]:
    state, reason = "pending", None
    if each.officer is None:
        state, reason = "skipped", each.skipped or "nobody"
    elif each.cancelled is not None:
        state, reason = "cancelled", each.cancelled
    officer_id = each.officer.officer_id if each.officer else ""
    return {
        "id": str(new_id()),
        "obligation": each.obligation,
        "agency": each.agency,
        "regime": each.regime,
        "period": each.period,
        "kind": each.kind,
        "step": each.step,
        "officer_id": officer_id,
        "recipient": each.officer.email if each.officer else None,
        "message_id": message_id(each.obligation, each.step, officer_id, "email", domain),
        "submission_version": each.submission_version,
        "facts": _facts(each.facts),
        "state": state,
        "reason": reason,
        "created_at": each.at.isoformat(),
        "due_at": now.isoformat() if state == "pending" else None,
        "traceparent": cause_of(each.obligation),
    }


def _facts(facts: Facts) -> dict[str, Any]:
    document: dict[str, Any] = FACTS.dump_python(facts, mode="json")
    return document


def _further(one: Cancel | None, other: Cancel) -> Cancel:
    """Of two stops for the same key and kind the one that reaches further; the later one's reason where equal."""
    if one is not None and one.up_to_submission_version > other.up_to_submission_version:
        return one
    return other
