"""Fills the stores as after years of use: millions of rows in every table on the path, with all their indexes.

INSERT … SELECT generate_series makes the rows in the database; indexes are dropped before and rebuilt afterwards.
Bodies are short: acceptance reads no old body, so only the indexes can slow it down.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from deploy.local.calls import call
from services.scoring.calendar import shipped_calendars
from services.scoring.obligations import domain, store
from services.scoring.obligations.domain import Cause
from services.scoring.obligations.facts import NOTHING, Terms
from services.scoring.obligations.standing import untouched
from services.scoring.scores.policy import read_policies
from shared.contract.events import VerdictReached
from shared.runtime.clock import LOCAL_ZONE
from tests.programs.bench.systems import System

_NAMES = """
    SELECT n, 'H98.' || lpad((n % 5000 / 100)::text, 2, '0') || '.' || lpad((n % 100)::text, 2, '0') AS agency,
           'CU-' || n / 300000 AS regime, 'P' || n / 5000 % 60 AS period,
           -- before every UUIDv7 of today, as old ids are
           ('01800000' || substr(md5(n::text), 1, 24))::uuid AS id
      FROM generate_series($1::bigint, $2::bigint) AS n
"""
_KEY = "agency || '/' || regime || '/' || period"
#: an obligation of a year ago, with placeholders for its own values
_AGENCY, _REGIME, _PERIOD, _ID = "@AGENCY@", "@REGIME@", "@PERIOD@", "01800000-0000-0000-8000-000000000000"


def _fulfilled() -> tuple[str, str, str]:
    """Terms, document and event of an obligation fulfilled by one report in time, as scoring writes them."""
    policy = read_policies().version("2019.1")
    calendar = shipped_calendars()[-1].file.calendar()
    deadline = datetime(2026, 2, 20, 17, tzinfo=LOCAL_ZONE)
    terms = Terms(
        1, deadline - timedelta(days=40), deadline - timedelta(days=3), deadline, calendar.version, policy.version,
        date(2026, 1, 15), date(2026, 2, 14),
    )  # fmt: skip
    key, at, identifier = f"{_AGENCY}/{_REGIME}/{_PERIOD}", deadline - timedelta(days=1), UUID(_ID)
    verdict = VerdictReached(
        verdict_id=identifier, submission_id=identifier, obligation=key, agency=_AGENCY, regime=_REGIME,
        regime_version=1, period=_PERIOD, version=1, officer_id=f"DM-{_AGENCY}", received_at=at, decided_at=at,
        outcome="accepted", errors=0, warnings=0, required_items=37, present_items=37,
    )  # fmt: skip
    before = domain.Obligation(key, 1, terms, NOTHING, untouched(terms))
    facts = domain.with_reports(NOTHING, [(identifier, verdict)])
    decision = domain.settle(before, terms, facts, policy, calendar, Cause(at, identifier, identifier))
    assert decision.event is not None
    after = decision.obligation
    return store.encode_terms(terms), store.encode_document(after), decision.event.encode().decode()


def _filled(document: str) -> str:
    """The document of a row, in SQL."""
    text = f"$json${document}$json$"
    for name, column in ((_AGENCY, "agency"), (_REGIME, "regime"), (_PERIOD, "period"), (_ID, "id::text")):
        text = f"replace({text}, '{name}', {column})"
    return f"CAST({text} AS json)"


_TERMS, _DOCUMENT, _EVENT = (_filled(part) for part in _fulfilled())
_INBOX = "INSERT INTO inbox (consumer, event_id) SELECT '{consumer}', id FROM ({names}) AS old"

#: service -> table -> statement that fills numbers $1 to $2
FILL: Mapping[str, Mapping[str, str]] = {
    "intake": {
        "obligations": f"INSERT INTO obligations (obligation, last_version) SELECT {_KEY}, 1 FROM ({_NAMES}) AS old",
        "submissions": f"""
            INSERT INTO submissions (submission_id, obligation, version, agency, regime, regime_version, period,
                officer_id, nil, received_at, idempotency_key, sha256, content_sha256, body)
            SELECT id, {_KEY}, 1, agency, regime, 1, period, 'DM-' || agency, false, now() - interval '1 year',
                   'old-' || n, sha256(n::text::bytea), sha256(n::text::bytea), '{{}}'::bytea
              FROM ({_NAMES}) AS old""",
        "verdicts": f"""
            INSERT INTO verdicts (submission_id, verdict_id, outcome, decided_at, errors, warnings, findings,
                findings_truncated)
            SELECT id, id, 'accepted', now() - interval '1 year', 0, 0, '[]', false FROM ({_NAMES}) AS old""",
        "standings": f"""
            INSERT INTO standings (obligation, version, agency, regime, regime_version, period, deadline, standing,
                owed, overdue, changed_at, document)
            SELECT {_KEY}, 2, agency, regime, 1, period, now() - interval '1 year', 'fulfilled', true, false,
                   now() - interval '1 year', {_EVENT} FROM ({_NAMES}) AS old""",
        "inbox": _INBOX.format(consumer="intake.follow", names=_NAMES),
    },
    "validator": {
        "verdict": f"""
            INSERT INTO verdict (verdict_id, submission_id, obligation, agency, regime, regime_version, period, version,
                officer_id, received_at, decided_at, nil, outcome, errors, warnings, required_items, present_items,
                findings_truncated)
            SELECT id, id, {_KEY}, agency, regime, 1, period, 1, 'DM-' || agency, now() - interval '1 year',
                   now() - interval '1 year', false, 'accepted', 0, 0, 37, 37, false FROM ({_NAMES}) AS old""",
        "inbox": _INBOX.format(consumer="validator.submissions", names=_NAMES),
    },
    "scoring": {
        "obligations": f"""
            INSERT INTO obligations (obligation, agency, regime, period, version, owed, standing, overdue, deadline,
                received_at, terms, document, opened_at)
            SELECT {_KEY}, agency, regime, period, 2, true, 'fulfilled', false, past, past, {_TERMS}, {_DOCUMENT}, past
              FROM ({_NAMES}) AS old, (SELECT now() - interval '1 year' AS past) AS moment""",
        "score_lines": f"""
            INSERT INTO score_lines (obligation, seq, line_id, component, clause, points, cause, cause_en,
                policy_version, event_id, created_at)
            SELECT {_KEY}, seq, id, CASE seq WHEN 1 THEN 'timeliness' ELSE 'completeness' END, '', 50,
                   'Nộp đúng hạn', 'On time', 'old', id, now() - interval '1 year'
              FROM ({_NAMES}) AS old, generate_series(1, 2) AS seq""",
        "inbox": _INBOX.format(consumer="scoring.follow", names=_NAMES),
    },
    "notifier": {
        "obligations": f"""
            INSERT INTO obligations (obligation, agency, regime, regime_version, period, deadline, standing, version,
                verdict_version, accepted_version)
            SELECT {_KEY}, agency, regime, 1, period, now() - interval '1 year', 'fulfilled', 2, 1, 1
              FROM ({_NAMES}) AS old""",
        "inbox": _INBOX.format(consumer="notifier.verdicts", names=_NAMES),
    },
}
_CONSTRAINTS = """
    SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint
     WHERE conrelid = $1::regclass AND contype IN ('p', 'u') ORDER BY contype
"""
_INDEXES = """
    SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
     WHERE indrelid = $1::regclass AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""
_BLOCK = 500_000


@dataclass(frozen=True)
class Grown:
    """The rates with small and with large stores, submissions per second, in one run."""

    stored_before: int
    stored_after: int
    accepts_before: float
    accepts_after: float
    end_to_end_before: float
    end_to_end_after: float
    database_bytes: Mapping[str, int]


async def _fill(url: str, table: str, statement: str, rows: int) -> None:
    connection: Any = await asyncpg.connect(url, command_timeout=7200)
    try:
        await connection.execute("SET maintenance_work_mem = '512MB'; SET jit = off; SET synchronous_commit = off")
        referenced = await connection.fetchval(
            "SELECT count(*) FROM pg_constraint WHERE confrelid = $1::regclass", table
        )
        constraints = [] if referenced else await connection.fetch(_CONSTRAINTS, table)
        indexes = await connection.fetch(_INDEXES, table)
        for row in constraints:
            await connection.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{row["name"]}"')
        for row in indexes:
            await connection.execute(f"DROP INDEX {row['name']}")
        for first in range(0, rows, _BLOCK):
            await connection.execute(statement, first, min(first + _BLOCK, rows) - 1)
        for row in constraints:
            await connection.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{row["name"]}" {row["definition"]}')
        for row in indexes:
            await connection.execute(row["definition"])
        await connection.execute(f"VACUUM ANALYZE {table}")
    finally:
        await connection.close()


async def _execute(url: str, statement: str) -> None:
    connection: Any = await asyncpg.connect(url, command_timeout=7200)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def fill(system: System, rows: int, say: Callable[[str], None]) -> None:
    """Add `rows` old submissions, and what all services store of them, to our stores while no service runs."""

    def fill_one(job: tuple[str, str, str]) -> None:
        service, table, statement = job
        begun = time.monotonic()
        call(lambda: _fill(system.stack.database_url(service), table, statement, rows))
        say(f"  {service}.{table}: {rows:,} rows in {time.monotonic() - begun:.0f} s")

    jobs = [(service, table, statement) for service, tables in FILL.items() for table, statement in tables.items()]
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        list(threads.map(fill_one, jobs))
    # old rows are long on disk: gigabytes still being written would slow every commit's fsync
    call(lambda: _execute(system.stack.admin_database_url, "CHECKPOINT"))
    os.sync()


def database_bytes(system: System) -> dict[str, int]:
    """Size of each service's database."""
    return {
        service: int(system.query(service, "SELECT pg_database_size(current_database())")[0][0]) for service in FILL
    }


def event_bytes(system: System) -> tuple[int, int]:
    """(events, bytes of their bodies) that all services have sent through Kafka and archived."""
    query = "SELECT count(*), coalesce(sum(octet_length(body)), 0) FROM outbox_archive"
    found = [system.query(service, query)[0] for service in FILL]
    return sum(int(row[0]) for row in found), sum(int(row[1]) for row in found)


def row_counts(system: System) -> dict[str, dict[str, tuple[int, int]]]:
    """(live rows, bytes with indexes) of each table, by service."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for service in FILL:
        rows = system.query(
            service,
            "SELECT relname, n_live_tup, pg_total_relation_size(relid) FROM pg_stat_user_tables ORDER BY 3 DESC",
        )
        found[service] = {row[0]: (int(row[1]), int(row[2])) for row in rows}
    return found
