"""Rows 22 and 22b: receivers of webhooks that misbehave, a notifier that dies while it sends, a clock that jumps."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from deploy.local.calls import call
from deploy.local.process import poll_until
from tests.programs.faults import hooks, people
from tests.programs.faults.ground import Province
from tests.programs.faults.hooks import Answer, Drop, Hang, Hook, Receivers, TakeThenDrop, Trickle
from tests.programs.faults.invariants import slow_messages, told_under_two_ids, unheard
from tests.programs.faults.load import Ledger, merged
from tests.programs.faults.matrix import Field, Unproved, row
from tests.programs.faults.sql import execute
from tests.programs.faults.stores import Stores, read_databases

#: points at which a notifier dies while it sends
STATES = ("claimed", "answered", "before_commit_of_outcome", "outcome_committed")
#: webhooks may be sent to this address of the machine; 127/8 holds others, which stand for an inner network
ALLOWED = "127.0.0.1/32"
TIMEOUT_SECONDS = 6.0
REBOUND = "bao-cao.x99.example"
_KNOWN = "SELECT count(*) FROM webhooks WHERE state = 'active'"

_ON_ITS_WAY = "SELECT count(*) FROM webhook_deliveries WHERE webhook_id = $1 AND settled_at IS NULL"


@contextmanager
def _listening(
    field: Field, agencies: Sequence[str], inner: str, **env: str
) -> Iterator[tuple[Province, Receivers, list[Hook]]]:
    """A province and a receiver for each agency, registered before the first report."""
    private = {"INTAKE_WEBHOOK_PRIVATE_NETWORKS": ALLOWED}
    own = {
        "NOTIFIER_WEBHOOK_PRIVATE_NETWORKS": ALLOWED,
        "NOTIFIER_WEBHOOK_TIMEOUT_SECONDS": f"{TIMEOUT_SECONDS:g}",
        "FAULT_NAMES": json.dumps({REBOUND: [inner]}),
        **env,
    }
    with Receivers() as receivers, field.province(service_env={"intake": private, "notifier": own}) as province:
        made = [receivers.add(agency) for agency in agencies]
        for hook in made:
            hooks.register(province.stack.url("intake"), field.ground.keys, hook)
        _known(province, len(made))
        yield province, receivers, made


def _known(province: Province, count: int) -> None:
    url = province.database_urls["notifier"]
    if not poll_until(lambda: call(lambda: execute(url, _KNOWN)) >= count, 60):
        raise Unproved("notifier has not read the registrations")


def _delivered(province: Province, hook: Hook) -> None:
    url = province.database_urls["notifier"]
    poll_until(lambda: call(lambda: execute(url, _ON_ITS_WAY, UUID(hook.webhook_id))) == 0, 30, 0.2)


def _inner(dice: random.Random) -> str:
    return f"127.{dice.randrange(100, 250)}.{dice.randrange(250)}.1"


def _misbehave(receivers: Receivers, made: Sequence[Hook], inner: str, inner_port: int) -> None:
    """Each kind of trouble at a receiver of its own; the last one answers as it should."""
    errors, busy, gone, silent, slow, redirecting, dropping = made[:7]
    receivers.order(errors, *(Answer(status) for status in (500, 503, 500, 404)))
    receivers.order(busy, Answer(429, ("retry-after: 1",)), Answer(503, ("retry-after: 2",)))
    receivers.order(gone, Answer(410))
    receivers.order(silent, Hang(), Hang())
    receivers.order(slow, Trickle(), Trickle())
    receivers.order(redirecting, *(Answer(302, (f"location: http://{inner}:{inner_port}/",)) for _ in range(2)))
    receivers.order(dropping, Drop(), TakeThenDrop(), Drop(), TakeThenDrop())


@row(
    "22",
    "webhooks: errors, 410, silence, endless bodies, redirects, rebinding, lost answers; the notifier dies",
    "I4",
    "I6",
    "I9",
    controls={
        "any_answer_is_delivered": ["I9"],
        "new_id_each_attempt": ["I9"],
        "redirects_followed": ["I9"],
        "addresses_unchecked": ["I9"],
        "one_webhook_at_a_time": ["I9"],
    },
)
def webhook_misbehaves(field: Field) -> None:
    agencies, inner = people.AGENCIES[:9], _inner(field.dice)
    with _listening(field, agencies, inner) as (province, receivers, made):
        rebound = _rebound(field, province, receivers, inner)
        inner_port = receivers.trap(inner)
        made[-1].timed_until = time.time() + 3600
        ledgers = [_troubled(field, province, receivers, made, inner, inner_port)]
        made[-1].timed_until = time.time()  # what follows ends the sender itself, after what is on its way
        _delivered(province, made[-1])
        for state in STATES:
            ledgers.append(_dies(field, province, agencies, state))
        field.happened("deaths of the notifier", len(STATES))
        hooks.delete(province.stack.url("intake"), field.ground.keys, rebound)
        played = receivers.played()
        field.happened("acts of the receivers", played.total())
        if receivers.left():
            raise Unproved(f"{receivers.left()} acts were not played: {dict(played)}")
        stores = field.judge(province, merged(ledgers), hooks=receivers)
        _figures(field, receivers, stores)
    if field.controls:
        _control(field, "any_answer_is_delivered", unheard)
        _control(field, "new_id_each_attempt", told_under_two_ids)
        _control(field, "redirects_followed", lambda stores: stores.internal_hits)
        _control(field, "addresses_unchecked", lambda stores: stores.internal_hits)
        _control(field, "one_webhook_at_a_time", slow_messages)


def _rebound(field: Field, province: Province, receivers: Receivers, inner: str) -> Hook:
    """A webhook whose public name turns out to stand for an inner address when it is sent to."""
    hook = Hook(people.AGENCIES[0])
    url = f"https://{REBOUND}:8443/"
    before = call(lambda: execute(province.database_urls["notifier"], _KNOWN))
    hooks.register(province.stack.url("intake"), field.ground.keys, hook, url=url)
    receivers.trap(inner, 8443)
    _known(province, before + 1)
    return hook


def _troubled(
    field: Field, province: Province, receivers: Receivers, made: Sequence[Hook], inner: str, inner_port: int
) -> Ledger:
    """A load while receivers misbehave, one refuses connections, and one that said 410 is resumed by its owner."""
    api, keys = province.stack.url("intake"), field.ground.keys
    refusing, gone = made[7], made[2]
    _misbehave(receivers, made, inner, inner_port)
    receivers.refuse(refusing)
    with field.load(province, 90, agencies=people.AGENCIES[:9], clients=6, pause_seconds=0.5) as running:
        if not poll_until(lambda: hooks.state_of(api, keys, gone) == "stopped", 60, 0.3):
            raise Unproved("nobody said that the receiver which answered 410 is stopped")
        ledger = running.finish()
    receivers.listen(refusing)
    hooks.resume(api, keys, gone)
    poll_until(lambda: receivers.left() == 0, 60, 0.3)
    return ledger


def _dies(field: Field, province: Province, agencies: Sequence[str], state: str) -> Ledger:
    """The notifier dies at this point of sending, and another takes over when its leases have run out."""
    province.component("notifier").kill()
    province.set_env("notifier", FAILPOINTS=f"webhook.{state}=exit@2")
    province.component("notifier").start()
    with field.load(province, 20, agencies=agencies, clients=4) as running:
        province.wait_exit("notifier", 90)
        province.revive("notifier")
        return running.finish()


def _figures(field: Field, receivers: Receivers, stores: Stores) -> None:
    ids = {post.message_id for post in stores.posts if post.status == 200}
    field.figure("messages taken", len(ids))
    field.figure("taken again", sum(post.status == 200 for post in stores.posts) - len(ids))
    field.figure("attempts", len(stores.posts))
    field.figure("acts", dict(receivers.played()))


def _control(field: Field, name: str, found: Callable[[Stores], list[str]]) -> None:
    """The receivers misbehave again, with this protection taken out."""
    agencies, inner = people.AGENCIES[:9], _inner(field.dice)
    with _listening(field, agencies, inner, FAULT_CONTROL=name) as (province, receivers, made):
        _rebound(field, province, receivers, inner)
        inner_port = receivers.trap(inner)
        made[-1].timed_until = time.time() + 3600
        _misbehave(receivers, made, inner, inner_port)
        with field.load(province, 40, agencies=agencies) as running:
            ledger = running.finish()
        # what was not taken may be late, so that is judged at rest; the other wrongs stay once they are there
        wrongs: list[str] = []

        def seen() -> bool:
            stores = field.settle(province, ledger, 30)[0] if found is unheard else _read(province)
            receivers.show(stores)
            wrongs[:] = found(stores)
            return bool(wrongs)

        poll_until(seen, 40, 1.0)
        field.red(name, "I9", wrongs)


def _read(province: Province) -> Stores:
    return call(lambda: read_databases(province.database_urls))


@row("22b", "the clock jumps while webhooks are signed", "I4", "I6", "I9", controls={"signed_once": ["I9"]})
def signatures(field: Field) -> None:
    with _jumping(field) as (province, receivers, ledger):
        field.judge(province, ledger, hooks=receivers)
    if not field.controls:
        return
    with _jumping(field, FAULT_CONTROL="signed_once") as (province, receivers, ledger):
        stores = field.settle(province, ledger, 30)[0]
        receivers.show(stores)
        field.red("signed_once", "I9", unheard(stores))


@contextmanager
def _jumping(field: Field, **env: str) -> Iterator[tuple[Province, Receivers, Ledger]]:
    """Receivers refuse what bears a time an hour off; then the clock is right again."""
    clock = field.ground.directory / "hooks-clock"
    clock.write_text("0", encoding="ascii")
    with _listening(field, people.AGENCIES[:3], _inner(field.dice), FAULT_CLOCK=str(clock), **env) as (
        province, receivers, _,
    ):  # fmt: skip
        ledgers = []
        for offset in (-3600, 3600):
            refused = _refused(receivers)
            clock.write_text(str(offset), encoding="ascii")
            with field.load(province, 20, agencies=people.AGENCIES[:3]) as running:
                ledgers.append(running.finish())
            _more_refused(receivers, refused + 2)
            field.happened(f"messages refused for their time at {offset:+} s", _refused(receivers) - refused)
            clock.write_text("0", encoding="ascii")
        yield province, receivers, merged(ledgers)


def _more_refused(receivers: Receivers, than: int) -> None:
    poll_until(lambda: _refused(receivers) > than, 30)


def _refused(receivers: Receivers) -> int:
    return sum(post.status == 400 for hook in receivers.hooks for post in list(hook.posts))
