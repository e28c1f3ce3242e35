"""Reconcile finds every value that is spoiled: each column of each table of each service, each leaf of a document.

What is spoiled is made from the tables, so a column that is added is spoiled too, and must be found or exempt by name
and reason. The world in which it happens is a small province that the real services have lived through.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any
from zlib import crc32

import asyncpg
import pytest
from sqlalchemy import Text

from deploy.reconcile import comparison
from deploy.reconcile.differences import Difference
from deploy.reconcile.stores import Snapshot, Source, Stores, Stream
from shared.contract.services import SERVICES
from shared.runtime.clock import business_clock, scaled_specification
from tests.integration.reconcile.spoils import Spoil, every_spoil, tables
from tests.integration.reconcile.world import ENVIRONMENT, NOW, World
from tests.stack import Infra

pytestmark = [pytest.mark.timeout(900)]

_ONCE = "kept here alone, and nothing follows from it"
_SYSTEM = "system time of a commit, kept here alone"
_OWNER = "the order of who keeps the webhook, kept here alone; checked by its number of messages"
_OPERATOR = "an operator's word, kept here alone"
#: what is not found when it is spoiled, by service.table.column.leaf (with *), and why
EXEMPT: dict[str, str] = {
    "*.*.one_row": "the key of a table of one row; a CHECK holds it true",
    "*.*.traceparent": "for traces alone",
    "*.relay_position.*": "the relay's note of how far Kafka had got, checked against Kafka when it starts",
    "*.outbox_archive.id": "the order of publishing; of one key the versions in the events say it too",
    "*.outbox_archive.created_at": _SYSTEM,
    "*.outbox_archive.archived_at": _SYSTEM,
    "intake.outbox_archive.event_id of vn.thongsuot.registry.staffing.v1": "no service applies it, so nobody names it",
    "intake.outbox_archive.body.version of vn.thongsuot.registry.staffing.v1": "the registry's revision of that hour",
    "scoring.outbox_archive.(deleted) of vn.thongsuot.calendar.loaded.v1": "the first event there; archives forget",
    "*.inbox.applied_at": _SYSTEM,
    "*.updated_at": _SYSTEM,
    "*.learned_at": _SYSTEM,
    "*.loaded_at": _SYSTEM,
    "*.planned_at": _SYSTEM,
    "intake.submissions.stored_at": _SYSTEM,
    "intake.registry.changed_at": _SYSTEM,
    "*.dead_letter.id": "the order in which they are listed",
    "*.dead_letter.rejected_at": _SYSTEM,
    "*.dead_letter.attempts": "grows with replays, which leave no other trace",
    "*.dead_letter.replayed_at": _OPERATOR,
    "*.dead_letter.discarded_*": _OPERATOR,
    "intake.api_keys.last_used_at": _SYSTEM,
    "*.access_key_uses.*": "when this service saw a key used, kept there alone",
    "intake.audit_trail.*": _OPERATOR,
    "intake.*.revision": "numbers the loads; only the greatest is kept twice",
    "intake.submissions.idempotency_key": "the client's word, kept here alone",
    "intake.steps.idempotency_key": "the client's word, kept here alone",
    "intake.steps.request_sha256": "names what the client asked for, kept here alone",
    "notifier.regimes.kept_since": _SYSTEM,
    "intake.steps.stored_at": _SYSTEM,
    "intake.steps.number": "the order of an obligation's steps; their hours say it too",
    "intake.verdicts.was_accepted": "what an earlier verdict said, which a newer one has overwritten",
    "intake.information_requests.(deleted)": "a request of a registry's file has no such row",
    "intake.information_requests.made_by": "in the audit trail too, which is kept once",
    "intake.information_requests.idempotency_key": "the client's word, kept here alone",
    "intake.information_requests.request_sha256": "names what the client asked for, kept here alone",
    "intake.information_requests.stored_at": _SYSTEM,
    "intake.waiver_requests.idempotency_key": "the client's word, kept here alone",
    "intake.waiver_requests.request_sha256": "names what the client asked for, kept here alone",
    "intake.waiver_requests.stored_at": _SYSTEM,
    "validator.verdict.resembles": _ONCE,
    "scoring.agencies.regrouped_at": "when scoring heard of it; checked not to lie before intake's hour",
    "scoring.generation.started_at": _ONCE,
    "scoring.generation.complete_at": "moves with every tick",
    "scoring.sweep_heartbeat.*": "moves with every tick",
    "scoring.obligations.document.facts.passed_at": "any hour behind the deadline gives the same standing",
    "scoring.reliefs.evidence": _OPERATOR,
    "scoring.relief_decisions.reason": "of the first decision it is the relief's too; of a later one it is kept alone",
    "notifier.digest_rounds.*": "how far a round of digests is; a letter says itself of which round it is",
    "notifier.notifications.created_at of named": _ONCE,
    "notifier.notifications.id of withdrawal": "until it is sent nothing else names it; the world may end before",
    "notifier.notifications.settled_at of named": "not published: who is named hears of it, nobody else",
    "notifier.notifications.released_at": "kept here alone; checked not to lie before the notice was planned",
    "intake.webhook_orders.made_by": "in the audit trail too, which is kept once",
    "intake.webhook_orders.idempotency_key": "the client's word, kept here alone",
    "intake.webhook_orders.request_sha256": "names what the client asked for, kept here alone",
    "intake.webhook_orders.stored_at": _SYSTEM,
    "intake.webhook_orders.(deleted)": "a call that a client has no need to repeat leaves no other trace",
    "intake.webhook_orders.(doubled)": "as if the client had called twice",
    "notifier.webhooks.told_at": _SYSTEM,
    "notifier.webhook_deliveries.number": "the order in which they were queued",
    "notifier.webhook_deliveries.created_at": _SYSTEM,
    "notifier.webhook_deliveries.settled_at": _SYSTEM,
    "notifier.webhook_deliveries.due_at": "the hour of the next attempt, which no attempt explains before its first",
    "notifier.webhook_deliveries.attempts_before": "how many it had when a replay was ordered; bounds retries alone",
    "notifier.webhook_attempts.token": "the lease of an attempt that has ended",
    "notifier.webhook_attempts.started_at": _SYSTEM,
    "notifier.webhook_attempts.ended_at": _SYSTEM,
    "notifier.webhook_attempts.status": "the receiver's answer; checked to be one of its class",
    "notifier.webhook_attempts.answer": "the receiver's answer, kept here alone",
    "notifier.webhook_replays.replay_id": _OWNER,
    "notifier.webhook_replays.made_by": _OWNER,
    "notifier.webhook_replays.idempotency_key": _OWNER,
    "notifier.webhook_replays.request_sha256": _OWNER,
    "notifier.webhook_replays.wanted*": _OWNER,
    "notifier.webhook_replays.at": _OWNER,
    "notifier.attempts.token": "the lease of an attempt that has ended",
    "notifier.attempts.worker": _ONCE,
    "notifier.attempts.ended_at": _SYSTEM,
    "notifier.attempts.content_sha256": "of the message that the mail server got, kept here alone",
    "notifier.attempts.smtp_code": "the mail server's answer; checked to be one of its class",
    "notifier.attempts.answer": "the mail server's answer, kept here alone",
}
#: tables that have no row in the world, and why
EMPTY: dict[str, str] = {
    "*.outbox": "empty once all is sent; a row left is a difference (unit tests)",
    "*.outbox_set_aside": "holds what Kafka refuses",
    "*.deferred_events": "empty once all is known",
    "notifier.regime_tellings": "all versions of the world count already, so none is told",
    "intake.dead_letter": "no consumer of intake reads the topic of the bad record",
    "notifier.dead_letter": "no consumer of notifier reads the topic of the bad record",
    "*.consumer_*": "holds halts and an operator's orders",
    "*.access_key_uses": "holds whom a service has answered over HTTP, which is not asked of each",
    "validator.fingerprint": "holds texts of 40 syllables and more",
    "validator.earlier_verdict": "holds verdicts that were revised (unit tests); no form of the world looks at others",
    "validator.looking": "holds reports whose rules look at others; no form of the world does",
    "validator.looked_at": "as looking",
    "validator.judge_again": "empty once all are judged again",
    "validator.not_judged": "holds reports that ran over a limit (unit tests); none of the world does",
    "scoring.setbacks": "empty while every sweep works",
    "intake.heartbeat": "kept only where business time is the system's (unit tests)",
    "scoring.intake_availability": "kept only where business time is the system's (unit tests)",
    "intake.receipt_keys": "holds keys where receipts are signed; whoever holds a receipt checks them",
    "scoring.intake_gaps": "holds hours in which intake was not there",
    "scoring.late_verdicts": "empty once a relief is proposed",
    "notifier.told_before": "holds a row in a database that replaces a lost one",
    "notifier.resends": "holds an operator's orders",
    "notifier.bounces": "holds what mail servers report",
    "board.dead_letter": "no consumer of the board reads the topic of the bad record",
    "board.accounts": "holds whom an operator invites",
    "board.invitations": "holds links that are used up",
    "board.sessions": "holds who is signed in",
    "board.sign_ins": "holds who signed in",
    "board.drafts": "holds what officers have typed and not sent",
    "board.devices": "holds in which browsers people signed in",
    "board.failures": "holds wrong passwords",
    "board.period_figures": "holds what an office froze; each page hashes it again",
}
#: comparison -> a spoil (its beginning) that only this comparison finds
CONTROLS: dict[str, str] = {
    "registry.records": "intake.registry_revision.revision",
    "registry.keys": "intake.api_keys.created_at",
    "registry.copies": "notifier.officers.title",
    "rules.calendars": "scoring.calendar_days.name_en",
    "rules.published_calendars": "notifier.calendars.days_off",
    "rules.policies": "scoring.policies.sha256",
    "rules.published_policies": "notifier.policies.timeliness_full",
    "rules.ladders": "notifier.ladders.sha256",
    "rules.mailing": "notifier.mailing_rules.sha256",
    "rules.silences": "notifier.silences.reason",
    "rules.reliefs": "scoring.reliefs.proposed_by",
    "rules.progress": "scoring.generation.rules",
    "owing.plans": "scoring.plans.regime_version",
    "receipts": "intake.submissions.content_sha256",
    "steps": "intake.obligations.unlocked_until",
    "verdicts": "intake.verdicts.warnings",
    "copies.standings": "intake.standings.changed_at",
    "copies.notices": "intake.notices.version",
    "notices": "notifier.notifications.reason",
    "board": "board.reports.sha256",
    "owing.terms": "scoring.obligations.terms remind_at of fulfilled",
    "scores.columns": "scoring.obligations.opened_at",
    "scores.lines": "scoring.score_lines.created_at",
    "scores.facts": "scoring.obligations.document facts.reminder.deadline",
    "webhooks.records": "intake.webhook_endpoints.contact",
    "webhooks.messages": "notifier.webhook_deliveries.event",
    "scores.events": "scoring.outbox_archive.headers of vn.thongsuot.obligation.changed.v1",
    "journal": "notifier.inbox.(deleted)",
}


class _Page:
    """Rows that were read before, as a cursor gives them."""

    def __init__(self, rows: list[asyncpg.Record]) -> None:
        self._rows = rows

    async def fetch(self, count: int) -> list[asyncpg.Record]:
        page, self._rows = self._rows[:count], self._rows[count:]
        return page


class _RememberingSnapshot(Snapshot):
    """Reads again only what a spoiled table may have changed: a thousand spoils read the same rows otherwise."""

    def __init__(self, stores: FrozenStores) -> None:
        super().__init__(stores.connections, dict.fromkeys(stores.connections, ""))
        self._stores = stores

    async def all(self, service: str, query: str, *arguments: Any) -> list[asyncpg.Record]:
        spoiled = self._stores.spoiled
        if spoiled is not None and spoiled[0] == service and spoiled[1] in query:
            return await super().all(service, query, *arguments)
        known = self._stores.read
        asked = (service, query, str(arguments))
        if asked not in known:
            known[asked] = await super().all(service, query, *arguments)
        return known[asked]

    async def stream(self, source: Source, keys: Collection[str] | None = None) -> Stream:
        text = source.text("", keys is not None)
        arguments = () if keys is None else (list(keys),)
        stream = Stream(source, _Page(await self.all(source.service, text, *arguments)), self)
        await stream.fill()
        return stream


class FrozenStores(Stores):
    """The stores as one transaction of each sees them: a spoil in it is seen, and gone with its savepoint.

    spoiled: service and table of the spoil; None: nothing is. read: rows by service, query and arguments.
    """

    def __init__(self, connections: Mapping[str, asyncpg.Connection]) -> None:
        super().__init__(connections, dict.fromkeys(connections, ""))
        self.connections = connections
        self.spoiled: tuple[str, str] | None = None
        self.read: dict[tuple[str, str, str], list[asyncpg.Record]] = {}

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        yield _RememberingSnapshot(self)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """What is done in it is undone."""
        for connection in self.connections.values():
            await connection.execute("SAVEPOINT spoiled")
        kept, self.read = self.read, {}
        try:
            yield
        finally:
            self.read = kept
            for connection in self.connections.values():
                await connection.execute("ROLLBACK TO SAVEPOINT spoiled; RELEASE SAVEPOINT spoiled")

    @asynccontextmanager
    async def spoil(self, spoil: Spoil) -> AsyncIterator[None]:
        """The stores with one value spoiled. Raises what the database raises where it refuses."""
        connection = self.connections[spoil.service]
        await connection.execute("SAVEPOINT spoiled")
        self.spoiled = spoil.service, spoil.table
        try:
            await connection.execute(spoil.statement, *spoil.arguments)
            yield
        finally:
            self.spoiled = None
            await connection.execute("ROLLBACK TO SAVEPOINT spoiled; RELEASE SAVEPOINT spoiled")


@asynccontextmanager
async def frozen(urls: Mapping[str, str]) -> AsyncIterator[FrozenStores]:
    """The databases, each in a transaction that is rolled back, without constraints that would refuse a spoil."""
    async with AsyncExitStack() as stack:
        connections = {}
        for service in SERVICES:
            connection = await asyncpg.connect(urls[service])
            stack.push_async_callback(connection.close)
            await connection.execute("BEGIN")
            await connection.execute("SET LOCAL session_replication_role = replica")
            await connection.execute(_DROP_CHECKS)
            connections[service] = connection
        yield FrozenStores(connections)


_DROP_CHECKS = """
    DO $$ DECLARE c record; BEGIN
      FOR c IN SELECT conrelid::regclass AS t, conname FROM pg_constraint
                WHERE contype IN ('c', 'f') AND conrelid <> 0 AND conparentid = 0
                  AND connamespace = 'public'::regnamespace
      LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.t, c.conname); END LOOP;
    END $$
"""


@pytest.fixture(scope="module")
def urls(infra: Infra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The databases of a world whose services have ended, for a superuser: they are not owned by one role."""
    clock = scaled_specification(datetime.fromisoformat(NOW), 1)
    with infra.stack(tmp_path_factory.mktemp("world"), env={"BUSINESS_CLOCK": clock, **ENVIRONMENT}) as stack:
        world = World(stack, tmp_path_factory.mktemp("registry"), business_clock(clock))
        world.play()
        owned = world.urls()
        stack.stop()
        server = infra.admin_database_url.rpartition("/")[0]
        yield {service: f"{server}/{url.rpartition('/')[2]}" for service, url in owned.items()}


async def differences(stores: FrozenStores, *, without: Collection[str] = ()) -> list[Difference]:
    return (await comparison.compare(stores, without=without)).differences


async def spoiled(stores: FrozenStores, spoil: Spoil, *, without: Collection[str] = ()) -> list[Difference] | None:
    """What is found once it is spoiled and names it; None where the database itself refuses the spoil."""
    try:
        async with stores.spoil(spoil):
            found = await differences(stores, without=without)
    except (asyncpg.UniqueViolationError, asyncpg.GeneratedAlwaysError):
        return None
    place = f"{spoil.service}.{spoil.table}"
    return [
        difference
        for difference in found
        if difference.where == place or any(name in f"{difference.key} {difference.column}" for name in spoil.names)
    ]


def why_exempt(spoil: Spoil) -> str | None:
    name = f"{spoil.service}.{spoil.table}.{spoil.column}" + (f".{spoil.path}" if spoil.path else "")
    if spoil.sort:
        name += f" of {spoil.sort}"
    names = {name, name.partition(" of ")[0]}
    return next((why for pattern, why in EXEMPT.items() if any(fnmatchcase(name, pattern) for name in names)), None)


@pytest.mark.parametrize(
    "nth", [pytest.param(12, id="every twelfth"), pytest.param(1, id="all", marks=pytest.mark.whole)]
)
async def test_every_spoiled_value_is_found_or_exempt_by_name_and_reason(urls: dict[str, str], nth: int) -> None:
    missed: list[str] = []
    found = refused = 0
    used: set[str] = set()
    async with frozen(urls) as stores:
        assert await differences(stores) == [], "before anything is spoiled"
        spoils, empty = await every_spoil(stores.connections)
        for spoil in spoils:
            why = why_exempt(spoil)
            if why is not None:
                used.add(why)
                continue
            if (
                crc32(str(spoil).encode()) % nth
            ):  # by its name: a table that is added leaves the others in their twelfth
                continue
            named = await spoiled(stores, spoil)
            if named is None:
                refused += 1
            elif named:
                found += 1
            else:
                missed.append(str(spoil))
        assert await differences(stores) == [], "and after all is undone"
    print(f"{len(spoils)} spoils: {found} found, {refused} refused by the database, {len(missed)} missed")
    assert missed == []
    assert not [table for table in empty if not any(fnmatchcase(table, pattern) for pattern in EMPTY)]
    assert used == set(EXEMPT.values()), "an exemption that exempts nothing"
    assert found > 500 / nth


def test_every_comparison_has_a_control() -> None:
    elsewhere = {"owing.missing", "scores.standing", "availability", "transfers"}  # below, and tests/unit/reconcile
    assert CONTROLS.keys() | elsewhere == set(comparison.COMPARISONS)


@pytest.mark.parametrize("name", CONTROLS)
async def test_control_without_a_comparison_its_values_are_not_found(urls: dict[str, str], name: str) -> None:
    async with frozen(urls) as stores:
        spoils, _ = await every_spoil(stores.connections)
        wanted = [spoil for spoil in spoils if str(spoil).startswith(CONTROLS[name])]
        assert wanted, f"nothing to spoil for {name}"
        assert await spoiled(stores, wanted[0])
        assert await spoiled(stores, wanted[0], without=[name]) == []


async def test_an_obligation_that_nobody_has_heard_of_is_missed_by_its_plan_alone(urls: dict[str, str]) -> None:
    """Control included: without `owing.missing` nothing is found, for every trace of it is gone."""
    key = "H99.05/KTXH/2026-M04"
    async with frozen(urls) as stores, stores.savepoint():
        gone: set[str] = set()
        for service, connection in stores.connections.items():
            for table in tables(service):
                held = [column.name for column in table.columns if isinstance(column.type, Text)]
                column = next((name for name in ("obligation", "key") if name in held), None)
                if column is not None:
                    rows = await connection.fetch(f'DELETE FROM "{table.name}" WHERE "{column}" = $1 RETURNING *', key)
                    gone |= {str(row["event_id"]) for row in rows if "event_id" in row}
        for connection in stores.connections.values():
            await connection.execute("DELETE FROM inbox WHERE event_id = ANY($1::uuid[])", sorted(gone))
        (found,) = await differences(stores)
        assert (found.kind, found.where, found.key) == ("owed", "scoring.obligations", key)
        assert await differences(stores, without=["owing.missing"]) == []


async def test_a_line_that_is_changed_in_every_copy_alike_is_found_by_the_policy_alone(urls: dict[str, str]) -> None:
    """Control included: without `scores.standing` all agree about a clause that the policy does not have."""
    key, was, now = "H99.91/THIEN-TAI/DX-2026-001", '"clause":"1.b"', '"clause":"9.z"'
    async with frozen(urls) as stores, stores.savepoint():
        document = "document = replace(document::text, $2, $3)::json WHERE obligation = $1"
        body = "body = convert_to(replace(convert_from(body, 'UTF8'), $2, $3), 'UTF8') WHERE key = $1"
        for service, statement in (
            ("scoring", f"UPDATE obligations SET {document}"),
            ("intake", f"UPDATE standings SET {document}"),
            ("scoring", f"UPDATE outbox_archive SET {body}"),
        ):
            await stores.connections[service].execute(statement, key, was, now)
        # jsonb is written with a blank after each colon
        spaced = (part.replace(":", ": ") for part in (was, now))
        document = document.replace("::json ", "::jsonb ")
        board = f"UPDATE obligation_documents SET {document}"
        await stores.connections["board"].execute(board, key, *spaced)
        await stores.connections["scoring"].execute(
            "UPDATE score_lines SET clause = '9.z' WHERE obligation = $1 AND clause = '1.b'", key
        )
        found = await differences(stores)
        assert {(difference.kind, difference.where, difference.column) for difference in found} >= {
            ("score", "scoring.obligations", "lines")
        }
        left = await differences(stores, without=["scores.standing"])
        assert [
            difference
            for difference in left
            if "clause_text" not in difference.column and "legal_basis" not in difference.column
        ] == []
