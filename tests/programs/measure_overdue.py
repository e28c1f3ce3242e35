"""Measures one minute in which very many reports become overdue: `python -m tests.programs.measure_overdue [REPORTS]`.

100,000 by default, of 2,000 departments with an officer and a head each. Printed: how long the ledger takes until every
notice stands in it; how long the notices then take to become letters, at most how many a person gets; how many letters
a second a local sink takes, grouped and alone; CPU of this process and of PostgreSQL, and the greatest memory. Events
come decoded from their bytes in batches as a consumer's, without Kafka and inbox. On a PostgreSQL of its own.
"""

from __future__ import annotations

import asyncio
import cProfile
import pstats
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from pathlib import Path

import psutil
from sqlalchemy import text

from deploy.local import Options, Stack
from deploy.local.postgres import create_database
from services.notifier.channels.dispatcher import MailDispatcher, Pace
from services.notifier.channels.email.channel import email_channel
from services.notifier.channels.email.smtp import Server
from services.notifier.channels.outcome_writer import OutcomeWriter
from services.notifier.delivery.states import RetryPolicy
from services.notifier.escalation.sweep import EscalationSweep
from services.notifier.mailing.store import RulesShelf
from services.notifier.mailing.sweep import MailingSweep
from services.notifier.planning.handlers import PlanningContext, apply_compliance, apply_registry
from services.notifier.templates import Composer, Originator
from shared.consuming.batch import Batch
from shared.contract.events import CalendarLoaded, ObligationChanged
from shared.postgres.database import Database
from shared.postgres.migrations import migrate
from shared.runtime.clock import ManualClock, SystemClock
from tests.fakes.compliance import obligation_changed
from tests.integration.notifier.rig import DEADLINE, DOMAIN, PROVINCE, agency, officer, registry

DEPARTMENTS = 2_000
A_BATCH = 500  # as consumer_max_records
LETTERS_ALONE = 5_000
BUDGET_SECONDS, BUDGET_LETTERS = 60, 300
CALENDAR = CalendarLoaded(
    calendar_version="T", version=1, first_year=2026, last_year=2027, days_off=(), made_up=(),
)  # fmt: skip


class Meter:
    """Elapsed time and CPU seconds of parts, of this process and of PostgreSQL."""

    def __init__(self, postgres: psutil.Process) -> None:
        self._postgres = postgres
        self._ended: dict[int, float] = {}

    @asynccontextmanager
    async def part(self, name: str, pieces: int, unit: str) -> AsyncIterator[None]:
        begun, own, others = time.perf_counter(), time.process_time(), self._others()
        yield
        seconds, cpu, server = time.perf_counter() - begun, time.process_time() - own, self._others() - others
        print(
            f"{name:42} {pieces:>7} {unit:9} {seconds:7.1f} s {pieces / seconds:8.0f}/s; CPU us each: "
            f"own {cpu / pieces * 1e6:6.0f}, PostgreSQL {server / pieces * 1e6:6.0f}",
            flush=True,
        )

    def _others(self) -> float:
        for process in [self._postgres, *self._postgres.children(recursive=True)]:
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            self._ended[process.pid] = times.user + times.system
        return sum(self._ended.values())


def codes() -> list[str]:
    return [f"H99.{number}" for number in range(10_000, 10_000 + DEPARTMENTS)]


def bodies(reports: int, *, overdue: bool, since: int = 0) -> Iterator[list[bytes]]:
    """Batches of obligations' states as their bytes come."""
    all_codes, batch = codes(), []
    for number in range(since, since + reports):
        code = all_codes[number % DEPARTMENTS]
        # a period of its own for each fifty of a department, as of regimes that one deadline ends
        period = date(2020, 1, 6) + timedelta(weeks=number // DEPARTMENTS)
        year, week, _ = period.isocalendar()
        event = obligation_changed(
            code, "BC-THANG", f"{year}-W{week:02}", version=3 if overdue else 1, deadline=DEADLINE,
            changes=("overdue", "score") if overdue else ("opened",), overdue=overdue,
            at=DEADLINE if overdue else DEADLINE - timedelta(days=30),
        )  # fmt: skip
        batch.append(event.model_dump_json().encode())
        if len(batch) == A_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def feed(database: Database, batches: Iterator[list[bytes]], context: PlanningContext) -> None:
    for raw in batches:
        batch = Batch.of([ObligationChanged.model_validate_json(body) for body in raw])
        async with database.transaction() as tx:
            await apply_compliance(batch, tx, context)


async def prepare(database: Database, context: PlanningContext) -> None:
    records = [*registry(), *(agency(code, PROVINCE, name=f"Sở số {code}") for code in codes())]
    records += [officer(f"officer-{code}", code) for code in codes()]
    records += [officer(f"head-{code}", code, "head") for code in codes()]
    for place in range(0, len(records), A_BATCH):
        async with database.transaction() as tx:
            await apply_registry(Batch.of(records[place : place + A_BATCH]), tx, context)  # type: ignore[arg-type]
    async with database.transaction() as tx:
        await apply_compliance(Batch.of([CALENDAR]), tx, context)
    async with database.transaction() as tx:
        await EscalationSweep(context.business, context.system, context.ladders, message_id_domain=DOMAIN).audit(tx)


async def settled_statistics(database: Database) -> None:
    """As autovacuum does within a minute of a first load."""
    async with database.engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("ANALYZE"))


async def count(database: Database, where: str = "TRUE") -> int:
    async with database.read_transaction() as snapshot:
        return int((await snapshot.execute(text(f"SELECT count(*) FROM notifications WHERE {where}"))).scalar_one())


def dispatcher(database: Database, port: int, business: ManualClock) -> MailDispatcher:
    policy, system = RetryPolicy(), SystemClock()
    outcomes = OutcomeWriter(database, system=system, business=business, policy=policy, lease_seconds=300)
    channel = email_channel(Composer(Originator(f"khong-tra-loi@{DOMAIN}")), Server("127.0.0.1", port), 4)
    return MailDispatcher(
        database, outcomes, channel, system=system, business=business, retry_policy=policy,
        pace=Pace(sweep_seconds=5), worker="measure",
    )  # fmt: skip


async def measure(url: str, smtp_port: int, postgres: psutil.Process, reports: int, profile: bool) -> bool:
    database, profiler = Database(url, pool_size=8, statement_timeout_seconds=600), cProfile.Profile()
    meter, fine = Meter(postgres), True
    business, system = ManualClock(DEADLINE - timedelta(days=30)), SystemClock()
    context = PlanningContext(system, business, DOMAIN, waits=True)
    try:
        await prepare(database, context)
        await feed(database, bodies(reports, overdue=False), context)
        await settled_statistics(database)
        business.set(DEADLINE)
        before = await count(database)
        begun = time.perf_counter()
        if profile:
            profiler.enable()
        async with meter.part("every notice stands in the ledger", reports, "reports"):
            await feed(database, bodies(reports, overdue=True), context)
        profiler.disable()
        fine &= time.perf_counter() - begun <= BUDGET_SECONDS
        planned = await count(database) - before
        print(f"  {planned} notices for {reports} reports")
        fine &= planned == 2 * reports
        business.set((DEADLINE + timedelta(days=1)).replace(hour=8, minute=16))
        sweep = MailingSweep(business, system)
        async with meter.part("they become letters", planned, "notices"):
            while await _tick(database, sweep):
                pass
        waiting = await count(database, "state = 'waiting'")
        letters = await count(database, "state = 'pending'")
        async with database.transaction() as tx:
            limit = (await RulesShelf().newest(tx)).mails_a_day
            most = (await tx.execute(text(
                "SELECT max(n) FROM (SELECT count(*) AS n FROM notifications WHERE state = 'pending'"
                " GROUP BY officer_id) AS each"))).scalar_one()  # fmt: skip
        print(f"  {letters} letters, {most} at most to one person (limit {limit}), {waiting} notices wait on")
        fine &= most <= limit
        await settled_statistics(database)
        sending = dispatcher(database, smtp_port, business)
        if profile:
            profiler.enable()
        async with meter.part("grouped letters are accepted", letters, "letters"):
            await sending.round()
        fine &= await count(database, "state = 'sent' AND (mail_id IS NULL OR mail_id = id)") == letters
        at_once = PlanningContext(system, business, DOMAIN)
        await feed(database, bodies(LETTERS_ALONE // 2, overdue=True, since=reports), at_once)
        alone = await count(database, "state = 'pending'")
        begun = time.perf_counter()
        async with meter.part("letters of one matter are accepted", alone, "letters"):
            await sending.round()
        fine &= alone / (time.perf_counter() - begun) >= BUDGET_LETTERS
        profiler.disable()
        print(f"memory of this process at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
        if profile:
            pstats.Stats(profiler).sort_stats("tottime").print_stats(30)
    finally:
        await database.close()
    return bool(fine)


async def _tick(database: Database, sweep: MailingSweep) -> int:
    async with database.transaction() as tx:
        return await sweep.tick(tx)


def main() -> int:
    numbers = [argument for argument in sys.argv[1:] if argument.isdigit()]
    reports = int(numbers[0]) if numbers else 100_000
    with tempfile.TemporaryDirectory() as folder:
        options = Options(directory=Path(folder), services={}, infrastructure=frozenset({"postgres", "mail"}))
        with Stack(options) as stack:
            url = create_database(stack.admin_database_url, "measure", password="test-only")
            migrate("notifier", url)
            port = int((Path(folder) / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
            within = asyncio.run(
                measure(url, stack.smtp_address[1], psutil.Process(port), reports, "--profile" in sys.argv)
            )
    print("within the budget" if within else "NOT within the budget")
    return 0 if within else 1


if __name__ == "__main__":
    raise SystemExit(main())
