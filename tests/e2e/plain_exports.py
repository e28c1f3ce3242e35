"""Writes what a stack holds as plain files for the second scorer: events as they were published, rules, results."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any

import asyncpg
import yaml

from deploy.local import Stack

_TYPES = {
    "agencies": ("intake", "vn.thongsuot.registry.agency.v1"),
    "officers": ("intake", "vn.thongsuot.registry.officer.v1"),
    "regimes": ("intake", "vn.thongsuot.registry.regime.v1"),
    "requests": ("intake", "vn.thongsuot.registry.request.v1"),
    "submissions": ("intake", "vn.thongsuot.submission.received.v1"),
    "steps": ("intake", "vn.thongsuot.submission.step.v1"),
    "verdicts": ("validator", "vn.thongsuot.verdict.reached.v1", "vn.thongsuot.verdict.not_judged.v1"),
}
_EVENTS = "SELECT convert_from(body, 'UTF8') FROM outbox_archive WHERE type = ANY($1) ORDER BY id"
_RELIEFS = """
    SELECT r.relief_id, d.version, d.after AS status, d.decided_at AS known_at, r.starts_at, r.ends_at, r.hold_until,
           r.agencies, r.regimes, r.obligations FROM reliefs AS r JOIN relief_decisions AS d USING (relief_id)
"""


async def write(stack: Stack, folder: Path) -> None:
    """Into a folder that is there: one `.jsonl` for each of tests/second_scorer/agreement.py."""
    for name, (service, *kinds) in _TYPES.items():
        _put(folder, name, [json.loads(row[0]) for row in await _rows(stack, service, _EVENTS, kinds)])
    _put(folder, "reliefs", [dict(row) for row in await _rows(stack, "scoring", _RELIEFS)])
    bodies = await _rows(stack, "scoring", "SELECT body FROM policies")
    _put(folder, "policies", [yaml.safe_load(row[0]) for row in bodies])
    calendars = [dict(row) for row in await _rows(stack, "scoring", "SELECT version, revision FROM calendar_versions")]
    for calendar in calendars:
        days = await _rows(
            stack, "scoring", "SELECT day, work FROM calendar_days WHERE version = $1", calendar["version"]
        )
        calendar["days"] = [dict(row) for row in days]
    _put(folder, "calendars", calendars)
    for name in ("obligations", "score-lines"):
        _put(folder, name, await asyncio.to_thread(_exported, stack, name))


def _exported(stack: Stack, name: str) -> list[dict[str, Any]]:
    """Every page of an export of scoring."""
    rows: list[dict[str, Any]] = []
    after = ""
    while True:
        asked = urllib.request.Request(
            f"{stack.url('scoring')}/v1/exports/{name}{after}",
            headers={"Authorization": f"Bearer {stack.operator_key()}"},
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            page = json.load(answer)
        rows += page["items"]
        if page["next"] is None:
            return rows
        after = f"?after={page['next']}"


async def _rows(stack: Stack, service: str, statement: str, *values: object) -> list[Any]:
    connection = await asyncpg.connect(stack.database_url(service), timeout=10)
    try:
        return list(await connection.fetch(statement, *values))
    finally:
        await connection.close()


def _put(folder: Path, name: str, records: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(record, default=str, ensure_ascii=False) + "\n" for record in records)
    (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
