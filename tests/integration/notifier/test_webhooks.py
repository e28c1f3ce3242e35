"""Webhooks: what happened to an agency's reports reaches its system, signed, once, whatever it answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from standardwebhooks import Webhook, WebhookVerificationError

from services.notifier.channels.webhook import store
from services.notifier.channels.webhook.dispatcher import WebhookDispatcher, WebhookPace
from services.notifier.channels.webhook.post import Poster
from services.notifier.channels.webhook.states import DELAYS
from services.notifier.channels.webhook.store import Work
from shared.contract.events import LaterParent, SubmissionReceived, WebhookRegistered, WebhookSecret
from shared.contract.webhook_secrets import line_of, read_master_keys, shown
from shared.contract.webhook_targets import networks_of
from shared.postgres.database import Transaction
from shared.runtime.tls import tls_context
from shared.runtime.watched_file import WatchedFile
from tests.fakes.webhook import Receiver, receiver
from tests.integration.notifier.rig import (
    COMMUNE,
    DEADLINE,
    DEPARTMENT,
    PROVINCE,
    REGIME,
    World,
    agency,
    changed,
    due_soon,
    not_judged,
    opened,
    overdue,
    registry,
    verdict,
)

ALL = (
    "submission.received", "verdict.reached", "obligation.due_soon", "obligation.overdue", "score.changed",
    "request.issued", "verdict.not_judged",
)  # fmt: skip
WEBHOOK = UUID("01932f5e-7a10-7cc3-98c4-dc0c0c07398f")
KEYS = line_of("0000000a", b"\1" * 32) + line_of("0000000b", b"\2" * 32)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "webhook_keys"
    path.write_text(KEYS)
    return path


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    async with receiver() as made:
        yield made


def registered(url: str, version: int = 1, **changes: Any) -> WebhookRegistered:
    base: dict[str, Any] = {
        "webhook_id": WEBHOOK, "agency": DEPARTMENT, "url": url, "events": ALL, "state": "active",
        "secrets": (WebhookSecret(generation=1, master_key="0000000a"),), "version": version,
    }  # fmt: skip
    return WebhookRegistered(**{**base, **changes})


def submission(code: str = DEPARTMENT) -> SubmissionReceived:
    return SubmissionReceived(
        submission_id=uuid4(), obligation=f"{code}/{REGIME}/2026-M10", agency=code, regime=REGIME, regime_version=1,
        period="2026-M10", version=1, officer_id="dept-any", received_at=DEADLINE - timedelta(hours=2),
        sha256="0" * 64, narratives={"NX": "Nội dung của báo cáo"},
    )  # fmt: skip


def dispatcher(
    world: World, key_file: Path | None, *, addresses: Sequence[str] | None = None, private: str = "127.0.0.0/8",
    timeout_seconds: float = 5.0, **pace: Any,
) -> WebhookDispatcher:  # fmt: skip
    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses if addresses is not None else [host]

    poster = Poster(
        world.system, tls_context(""), private=networks_of(private), timeout_seconds=timeout_seconds, resolver=resolve
    )
    keys = WatchedFile(key_file, read_master_keys, lambda error: None)
    return WebhookDispatcher(
        world.database,
        poster,
        keys,
        system=world.system,
        business=world.business,
        pace=WebhookPace(sweep_seconds=0, **pace),
    )


async def claimed(world: World, tx: Transaction) -> list[Work]:
    """What is due, leased by a process that never ends."""
    on = world.business.now().date()
    return await store.claim(tx, world.system.now(), on, lease_seconds=240, webhooks=5, each=5, busy=(), suspects=True)


async def deliveries(world: World) -> list[dict[str, Any]]:
    return await world.rows("SELECT * FROM webhook_deliveries ORDER BY number")


async def one_message(world: World, url: str, **changes: Any) -> None:
    await world.feed("registry", *registry(), registered(url, **changes))
    await world.feed("steps", submission())


def secret(generation: int = 1, master: str = "0000000a") -> str:
    return shown(read_master_keys(KEYS.encode()).secret(master, WEBHOOK, generation))


async def test_what_happens_is_told_once_and_a_stock_library_verifies_it(
    world: World, hook: Receiver, key_file: Path
) -> None:
    await world.feed("registry", *registry(), registered(hook.url))
    received = submission()
    for _ in range(2):  # what is read again is told once
        await world.feed("steps", received, submission(COMMUNE))
    judged = verdict()
    unable = not_judged()
    again = unable.model_copy(update={"verdict_id": uuid4()})  # of a validator whose database was lost
    await world.feed("verdicts", unable, again)
    await world.feed("verdicts", judged)
    await world.feed("compliance", opened(), due_soon(), overdue(score=Decimal("-20"), code=DEPARTMENT))
    await world.feed("compliance", opened(code=COMMUNE), changed(1, "opened", period="DX-2026-001"))
    await world.feed("compliance", overdue(score=Decimal("-20")))
    world.system.set(_now())
    await dispatcher(world, key_file).drain()
    told = [json.loads(one.body) for one in hook.received]
    assert [one["type"] for one in told] == [
        "submission.received",
        "verdict.not_judged",
        "verdict.reached",
        "obligation.due_soon",
        "obligation.overdue",
        "score.changed",
        "request.issued",
    ] or sorted(one["type"] for one in told) == sorted(ALL)
    assert {one["data"]["agency"] for one in told} == {DEPARTMENT}
    by_type = {one["type"]: one["data"] for one in told}
    assert by_type["submission.received"]["link"] == f"/v1/submissions/{received.submission_id}"
    assert by_type["verdict.reached"]["outcome"] == "returned"
    assert by_type["verdict.not_judged"]["submission_id"] == str(unable.submission_id)
    assert by_type["score.changed"]["score"] == "-20"
    assert by_type["request.issued"]["request_id"] == "DX-2026-001"
    # ids and states alone: no name, no contact, no content
    told_of = " ".join(one.body.decode() for one in hook.received)
    assert not any(word in told_of for word in ("dept-any", "@", "Nguyễn", "Nội dung", "Sửa"))
    for one in hook.received:
        Webhook(secret()).verify(one.body, one.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(secret(2)).verify(one.body, one.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(secret()).verify(one.body + b" ", one.headers)
    assert len({one.headers["webhook-id"] for one in hook.received}) == len(ALL)
    assert {row["state"] for row in await deliveries(world)} == {"delivered"}
    await dispatcher(world, key_file).drain()
    assert len(hook.received) == len(ALL)


async def test_a_lost_database_tells_again_under_the_same_ids(world: World, hook: Receiver, key_file: Path) -> None:
    received, judged = submission(), verdict()
    rebuilt = judged.model_copy(update={"verdict_id": uuid4()})  # validator's, if its database was lost as well
    ids = []
    for reached in (judged, rebuilt):
        await world.feed("registry", *registry(), registered(hook.url))
        await world.feed("steps", received)
        await world.feed("verdicts", reached)
        await dispatcher(world, key_file).drain()
        ids.append([one.headers["webhook-id"] for one in hook.received])
        hook.received.clear()
        async with world.database.transaction() as tx:
            await tx.execute(text("DELETE FROM webhook_deliveries"))
    assert len(set(ids[0])) == 2
    assert sorted(ids[0]) == sorted(ids[1])


async def test_an_agency_above_hears_of_those_below_it_on_the_day_and_of_nobody_else(
    world: World, hook: Receiver, key_file: Path
) -> None:
    """Control included: whoever has moved away is heard of no more, not even of what was queued before."""
    below = ("obligation.overdue", "obligation.escalated", "score.changed", "submission.received")
    above = registered(hook.url, agency=PROVINCE, covers="below", events=below)
    await world.feed("registry", *registry(), agency("H98", kind="province"), above)
    await world.feed("steps", submission())  # of a receipt only its own agency hears
    await world.feed("compliance", opened(), overdue(score=Decimal("-20")))
    await world.feed("compliance", opened(code=PROVINCE), overdue(code=PROVINCE))  # its own: not below
    made = dispatcher(world, key_file)
    await made.drain()
    told = [json.loads(one.body) for one in hook.received]
    assert {one["data"]["agency"] for one in told} == {DEPARTMENT}
    assert sorted(one["type"] for one in told) == ["obligation.escalated", "obligation.overdue", "score.changed"]
    assert not any(word in one.body.decode() for one in hook.received for word in ("chair", "@", "Nguyễn"))
    await world.feed("compliance", opened(code=COMMUNE), overdue(code=COMMUNE))
    moved = agency(COMMUNE, PROVINCE, version=2, parents=(LaterParent(code="H98", since=DEADLINE.date()),))
    await world.feed("registry", moved)
    await made.drain()
    await world.feed("compliance", opened(code=COMMUNE, period="2026-M11"))
    await world.feed("compliance", overdue(code=COMMUNE, period="2026-M11"))
    await made.drain()
    assert {json.loads(one.body)["data"]["agency"] for one in hook.received} == {DEPARTMENT}
    left = await world.rows("SELECT state, reason FROM webhook_deliveries WHERE agency = :code", code=COMMUNE)
    assert {(row["state"], row["reason"]) for row in left} == {("cancelled", "beyond_reach")}


async def test_only_what_was_asked_for_is_told(world: World, hook: Receiver, key_file: Path) -> None:
    await one_message(world, hook.url, events=("verdict.reached",))
    assert await deliveries(world) == []


async def test_two_secrets_sign_while_both_live(world: World, hook: Receiver, key_file: Path) -> None:
    world.system.set(_now())
    old = WebhookSecret(generation=1, master_key="0000000a", until=world.system.now() + timedelta(hours=1))
    await one_message(world, hook.url, secrets=(WebhookSecret(generation=2, master_key="0000000b"), old))
    await dispatcher(world, key_file).drain()
    (one,) = hook.received
    for live in (secret(1), secret(2, "0000000b")):
        Webhook(live).verify(one.body, one.headers)
    world.system.advance(seconds=7200)
    await world.feed("steps", submission())
    await dispatcher(world, key_file).drain()
    assert len(hook.received[-1].headers["webhook-signature"].split(" ")) == 1


@pytest.mark.parametrize(("status", "outcome"), [(500, "away"), (429, "away"), (404, "refused"), (302, "refused")])
async def test_a_failure_is_tried_again_under_the_same_id_for_days_and_then_has_failed(
    world: World, hook: Receiver, key_file: Path, status: int, outcome: str
) -> None:
    await one_message(world, hook.url)
    begun, made = world.system.now(), dispatcher(world, key_file)
    for _ in range(len(DELAYS) + 1):
        hook.answer(status, "location: http://127.0.0.1:9/", body="không nhận")
        await made.drain()
        (row,) = await deliveries(world)
        if row["due_at"] is not None:
            world.system.set(row["due_at"] + timedelta(hours=1))
    (row,) = await deliveries(world)
    assert (row["state"], row["attempts"]) == ("failed", len(DELAYS) + 1)
    assert len({one.headers["webhook-id"] for one in hook.received}) == 1
    assert len({one.body for one in hook.received}) == 1
    assert timedelta(days=2.5) < world.system.now() - begun < timedelta(days=5)
    attempts = await world.rows("SELECT number, outcome, status FROM webhook_attempts ORDER BY number")
    assert attempts == [
        {"number": number, "outcome": outcome, "status": status} for number in range(1, len(DELAYS) + 2)
    ]


async def test_retry_after_is_kept(world: World, hook: Receiver, key_file: Path) -> None:
    await one_message(world, hook.url)
    hook.answer(503, "retry-after: 7200")
    await dispatcher(world, key_file).drain()
    (row,) = await deliveries(world)
    assert row["due_at"] == world.system.now() + timedelta(hours=2)
    (kept,) = await world.rows("SELECT rest_until FROM webhooks")
    assert kept["rest_until"] == row["due_at"]


async def test_410_stops_until_the_owner_changes_the_registration(world: World, hook: Receiver, key_file: Path) -> None:
    await one_message(world, hook.url)
    await world.feed("steps", submission())
    hook.answer(410)
    made = dispatcher(world, key_file)
    await made.drain()
    world.system.advance(days=1)
    await made.drain()
    assert len(hook.received) == 1
    stopped, health = await world.recorded()
    assert (stopped["webhook_id"], stopped["version"], stopped["reason"]) == (WEBHOOK, 1, "gone")
    assert (health["webhook_id"], health["status"], health["delivered_at"]) == (WEBHOOK, 410, None)
    await world.feed("registry", registered(hook.url, version=2))
    await made.drain()
    assert [row["state"] for row in await deliveries(world)] == ["failed", "delivered"]


async def test_one_that_hangs_delays_its_own_messages_alone(world: World, hook: Receiver, key_file: Path) -> None:
    async with receiver() as silent:
        silent.hang()
        other = uuid4()
        await one_message(world, hook.url)
        await world.feed("registry", registered(silent.url, webhook_id=other))
        for _ in range(5):
            await world.feed("steps", submission())
        made = dispatcher(world, key_file, timeout_seconds=1.0, webhooks=2)
        assert await made.step() == 2
        while len(hook.received) < 6:
            await asyncio.wait_for(made._wake.wait(), 0.9)  # before the silent one's time is over
            made._wake.clear()
        assert silent.connections <= 1
        await made.drain()
        assert silent.connections == 1  # it rests, and its other messages with it
        rows = await world.rows("SELECT state, attempts FROM webhook_deliveries WHERE webhook_id = :id", id=other)
        assert sorted(row["attempts"] for row in rows) == [0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("addresses", "private"),
    [
        (["127.0.0.1"], ""),
        (["10.0.0.1", "169.254.169.254"], ""),
        (["::1"], ""),
        (["::ffff:127.0.0.1"], ""),
        (["fd00::1"], "127.0.0.0/8"),
    ],
)
async def test_a_name_that_stands_for_a_private_address_is_never_connected_to(
    world: World, hook: Receiver, key_file: Path, addresses: list[str], private: str
) -> None:
    """The registration saw a public name; its address is another when the message is sent (DNS rebinding)."""
    await one_message(world, f"https://bao-cao.h99.example:8443/{hook.port}")
    await dispatcher(world, key_file, addresses=addresses, private=private).drain()
    assert hook.connections == 0
    (attempt,) = await world.rows("SELECT outcome, status, answer FROM webhook_attempts")
    assert (attempt["outcome"], attempt["status"]) == ("away", None)
    assert "no public address" in attempt["answer"]


async def test_the_address_that_was_checked_is_connected_to(world: World, hook: Receiver, key_file: Path) -> None:
    """Negative control: where the network is allowed, the same name leads to the receiver (which speaks no TLS)."""
    await one_message(world, "https://bao-cao.h99.example:8443/")
    made = dispatcher(world, key_file, addresses=["127.0.0.1"])
    await made.drain()
    (attempt,) = await world.rows("SELECT outcome, answer FROM webhook_attempts")
    assert "public address" not in attempt["answer"]


async def test_without_its_master_key_a_message_waits_and_loses_nothing(
    world: World, hook: Receiver, key_file: Path
) -> None:
    await one_message(world, hook.url)
    await dispatcher(world, None).drain()
    (row,) = await deliveries(world)
    assert (row["state"], row["attempts"], hook.received) == ("retry", 0, [])
    world.system.advance(seconds=60)
    await dispatcher(world, key_file).drain()
    assert len(hook.received) == 1


async def test_a_test_is_sent_under_its_own_id_and_an_old_one_is_not(
    world: World, hook: Receiver, key_file: Path
) -> None:
    test_id, now = uuid4(), world.system.now()
    for _ in range(2):
        await world.feed("registry", *registry(), registered(hook.url, 2, test_id=test_id, test_at=now))
    late = now - store.TEST_AGE - timedelta(seconds=1)
    await world.feed("registry", registered(hook.url, 3, test_id=uuid4(), test_at=late))
    await dispatcher(world, key_file).drain()
    (one,) = hook.received
    assert json.loads(one.body)["type"] == "webhook.test"
    assert one.headers["webhook-id"] == f"msg_{test_id.hex}"


async def test_nothing_is_sent_while_paused_and_never_once_deleted(
    world: World, hook: Receiver, key_file: Path
) -> None:
    await one_message(world, hook.url, state="paused")
    made = dispatcher(world, key_file)
    await made.drain()
    assert hook.received == []
    await world.feed("registry", registered(hook.url, version=2))
    await made.drain()
    assert len(hook.received) == 1
    await world.feed("steps", submission())
    await world.feed("registry", registered(hook.url, version=3, state="deleted"))
    await world.feed("steps", submission())
    await made.drain()
    assert len(hook.received) == 1
    assert [row["state"] for row in await deliveries(world)] == ["delivered", "cancelled"]


async def test_what_is_left_of_a_deleted_webhook_is_cancelled(world: World, hook: Receiver, key_file: Path) -> None:
    """One message was in a process's hands when the webhook was deleted; another transaction queued one just then."""
    await one_message(world, hook.url)
    async with world.database.transaction() as tx:
        await claimed(world, tx)
    await world.feed("registry", registered(hook.url, version=2, state="deleted"))
    async with world.database.transaction() as tx:
        await tx.execute(text("UPDATE webhooks SET state = 'active'"))
    await world.feed("steps", submission())
    async with world.database.transaction() as tx:
        await tx.execute(text("UPDATE webhooks SET state = 'deleted'"))
    world.system.advance(seconds=241)
    await dispatcher(world, key_file).drain()
    assert [row["state"] for row in await deliveries(world)] == ["cancelled", "cancelled"]
    assert hook.received == []


async def test_a_process_that_dies_leaves_its_messages_to_the_next(
    world: World, hook: Receiver, key_file: Path
) -> None:
    await one_message(world, hook.url)
    made = dispatcher(world, key_file)
    async with world.database.transaction() as tx:
        (work,) = await claimed(world, tx)
    await made.drain()
    assert hook.received == []
    world.system.advance(seconds=241)
    await made.drain()
    assert len(hook.received) == 1
    # the dead process' outcome, if it comes after all, changes nothing
    assert [row["state"] for row in await deliveries(world)] == ["delivered"]
    assert len(work.messages) == 1


@pytest.mark.parametrize("fell_back", [True, False])
async def test_what_was_put_off_before_the_clock_fell_back_goes_out_at_once(
    world: World, hook: Receiver, key_file: Path, fell_back: bool
) -> None:
    """Negative control: where the clock did not fall back, the message waits for its time."""
    await one_message(world, hook.url)
    for _ in range(2):  # the next attempt is then due in five minutes
        hook.answer(500)
        world.system.advance(seconds=10)
        await dispatcher(world, key_file).drain()
    await world.feed("steps", submission())  # and one that waits while the webhook rests
    world.system.advance(seconds=-3600 if fell_back else 1)
    await dispatcher(world, key_file).drain()
    states = [row["state"] for row in await deliveries(world)]
    assert states == (["delivered", "delivered"] if fell_back else ["retry", "pending"])


async def test_a_lease_that_a_clock_ahead_ended_puts_nothing_off(world: World, hook: Receiver, key_file: Path) -> None:
    await one_message(world, hook.url)
    async with world.database.transaction() as tx:
        await claimed(world, tx)
        await store.expire(tx, world.system.now() + timedelta(hours=1))
    world.system.advance(seconds=240)
    await dispatcher(world, key_file).drain()
    assert [row["state"] for row in await deliveries(world)] == ["delivered"]


async def test_a_lease_written_before_the_clock_fell_back_lasts_no_longer_than_a_new_one(
    world: World, hook: Receiver, key_file: Path
) -> None:
    await one_message(world, hook.url)
    async with world.database.transaction() as tx:
        await claimed(world, tx)
    world.system.advance(seconds=-3600)
    made = dispatcher(world, key_file)
    await made.drain()
    world.system.advance(seconds=241)
    await made.drain()
    assert [row["state"] for row in await deliveries(world)] == ["delivered"]


async def test_what_is_long_past_is_not_told_and_what_was_told_is_forgotten_after_30_days(
    world: World, hook: Receiver, key_file: Path
) -> None:
    await one_message(world, hook.url)
    await dispatcher(world, key_file).drain()
    world.business.advance(days=31)
    world.system.advance(days=31)
    await world.feed("steps", submission())
    assert len(await deliveries(world)) == 1
    async with world.database.transaction() as tx:
        assert await store.prune(tx, world.system.now()) == 1
    assert await deliveries(world) == await world.rows("SELECT * FROM webhook_attempts") == []


def _now() -> Any:
    """The stock verifier compares the signature's time with the system's clock."""
    from datetime import UTC, datetime

    return datetime.now(UTC)
