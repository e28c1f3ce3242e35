"""Row 34: a database is lost and rebuilt by the commands of docs/restore.md, which the row reads from the page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import asyncpg

from deploy.local.calls import call
from deploy.local.postgres import drop_database
from shared.contract.services import SERVICES
from shared.runtime.clock import business_clock
from tests.programs.faults import witness
from tests.programs.faults.ground import Province, operate
from tests.programs.faults.invariants import newest_stands
from tests.programs.faults.load import Ledger, merged
from tests.programs.faults.matrix import Field, Unproved, row
from tests.programs.faults.sql import execute

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "restore.md"


def block(section: str, language: str) -> str:
    """Return the first code block of this language under a heading of the page. Raises LookupError."""
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    found = re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)
    if found is None:
        raise LookupError(f"{PAGE.name} has no {language} block under {section!r}")
    return found[1]


def _type(province: Province, section: str, variables: Mapping[str, str] | None = None) -> None:
    """Run a section's commands as an operator types them, line by line. Raises AssertionError at the first failure."""
    env: dict[str, str] = {**(variables or {})}
    for service in SERVICES:
        env |= province.stack.service_env(service)
    env |= {f"{service.upper()}_DATABASE_URL": province.database_urls[service] for service in SERVICES}
    env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for line in block(section, "sh").replace("\\\n", "").splitlines():
        done = subprocess.run(
            ["bash", "-euc", line], env=env, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode:
            raise AssertionError(
                f"{section}: `{line}` ended with {done.returncode}: {(done.stderr or done.stdout)[-800:]}"
            )


def _lose(province: Province, service: str) -> None:
    """Stop the service and put an empty database in place of its own."""
    province.component(service).stop()
    admin, name = province.ground.stack.admin_database_url, f"{province.name}_{service}"
    drop_database(admin, name, role=False)
    call(lambda: _create(admin, name, owner=f"template_{service}"))
    call(lambda: execute(province.database_urls[service], witness.TABLE))


async def _create(admin: str, name: str, owner: str) -> None:
    connection = await asyncpg.connect(admin, timeout=20)
    try:
        await connection.execute(f'CREATE DATABASE "{name}" OWNER "{owner}" TEMPLATE template0')
        await connection.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
    finally:
        await connection.close()


def _start(province: Province, service: str) -> None:
    province.component(service).start()
    province.component(service).wait_ready()


async def _told_by_scoring(url: str) -> dict[str, str]:
    """Run the page's query on intake's database."""
    connection = await asyncpg.connect(url, timeout=20)
    try:
        found = await connection.fetchrow(block("scoring", "sql"))
        return {"STARTED_AT": found["started_at"].isoformat(), "FIRST_VERSION": str(found["first_version"])}
    finally:
        await connection.close()


def _differences(province: Province, seconds: float) -> list[str]:
    code, told = province.reconcile(settle_seconds=seconds)
    if code not in (0, 1):
        raise AssertionError(f"reconcile: {told}")
    return [str(difference) for difference in told["differences"]]


def _more(field: Field, province: Province, ledgers: list[Ledger]) -> None:
    with field.load(province, 60) as running:
        ledgers.append(running.finish())


@row(
    "34",
    "validator's, scoring's, notifier's and board's database lost, one by one, and built again by the page's commands",
    "I1",
    "I3",
    "I4",
    "I6",
    "I7",
    controls={"without the replay": ["I7"]},
)
def databases_lost(field: Field) -> None:
    with field.province() as province:
        ledgers: list[Ledger] = []
        _more(field, province, ledgers)
        field.settle(province, ledgers[0])
        owed = call(lambda: execute(province.database_urls["scoring"], "SELECT count(*) FROM obligations WHERE owed"))

        _lose(province, "validator")
        operate("validator", province.database_urls["validator"], "migrate")
        _start(province, "validator")
        left = _differences(province, 5)
        field.red("without the replay", "I7", left)
        province.component("validator").stop()
        _lose(province, "validator")
        began = time.monotonic()
        _type(province, "validator")
        _start(province, "validator")
        _rebuilt(field, province, "validator", began, ledgers)

        _lose(province, "scoring")
        began = time.monotonic()
        _type(province, "scoring", call(lambda: _told_by_scoring(province.database_urls["intake"])))
        _start(province, "scoring")
        _rebuilt(field, province, "scoring", began, ledgers)
        again = call(lambda: execute(province.database_urls["scoring"], "SELECT count(*) FROM obligations WHERE owed"))
        if again < owed:
            field.result.wrongs.setdefault("I7", []).append(f"{owed} obligations were owed, {again} are")

        mails = Counter(mail.message_id for mail in province.stack.mails())
        _lose(province, "notifier")
        lost_at = business_clock(province.env["BUSINESS_CLOCK"]).now().isoformat()
        began = time.monotonic()
        _type(province, "notifier", {"LOST_AT": lost_at})
        _start(province, "notifier")
        _rebuilt(field, province, "notifier", began, ledgers)

        _lose(province, "board")
        began = time.monotonic()
        _type(province, "board")
        _start(province, "board")
        _rebuilt(field, province, "board", began, ledgers)

        after = Counter(mail.message_id for mail in province.stack.mails())
        field.happened("mails before the ledger was lost", sum(mails.values()))
        field.happened("mails that went out afterwards", len(after.keys() - mails.keys()))
        twice = [f"mail {message_id} went out again" for message_id, times in after.items() if times > 1]
        before = _recorded_as_told(province)
        field.happened("notices entered as told before", before)
        field.result.wrongs.setdefault("I7", []).extend(twice)
        field.judge(
            province, merged(ledgers), instead={"I3": lambda ledger, stores: newest_stands(stores)}, spoil=False
        )


def _rebuilt(field: Field, province: Province, service: str, began: float, ledgers: list[Ledger]) -> None:
    """Check that nothing differs and that new events are followed."""
    wrongs = field.result.wrongs.setdefault("I7", [])
    wrongs += [f"{service} rebuilt: {difference}" for difference in _differences(province, 90)[:20]]
    field.figure(f"{service} rebuilt, s", round(time.monotonic() - began, 1))
    _more(field, province, ledgers)
    _, left = field.settle(province, merged(ledgers))
    if left:
        raise Unproved(f"{service} rebuilt: {len(left)} still on their way, {left[0]}")
    wrongs += [f"behind {service}'s rebuilding: {difference}" for difference in _differences(province, 90)[:20]]


def _recorded_as_told(province: Province) -> int:
    return call(
        lambda: execute(
            province.database_urls["notifier"], "SELECT count(*) FROM notifications WHERE reason = 'told_before'"
        )
    )
