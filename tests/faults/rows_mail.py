"""Rows 20 to 22: a mail server that misbehaves at every verb, a notifier that dies in every state, and webhooks."""

from __future__ import annotations

import time
from collections import Counter

from deploy.local.calls import call
from deploy.local.process import poll_until
from tests.fakes.smtp import AcceptThenDrop, AcceptThenHang, Answer, Drop, Garbage, Hang, Slow
from tests.faults.ground import Province
from tests.faults.mailserver import MailServer
from tests.faults.matrix import Field, Unproved, row
from tests.faults.sql import execute

STATES = ("claimed", "before_mark", "in_data", "answered", "after_outcome")
LEASE_SECONDS = 12.0


def _more_mails(server: MailServer, count: int, seconds: float = 60) -> None:
    """Until the server has taken so many more."""
    wanted = len(server.fake.accepted) + count
    poll_until(lambda: len(server.fake.accepted) >= wanted, seconds)


@row("20", "SMTP: 4xx, 5xx, drops before, in and after DATA, a bad QUIT, silence, slowness", "I5", "I6")
def mail_server_misbehaves(field: Field) -> None:
    with MailServer() as server, field.province(smtp_address=server.address) as province:
        refused = "dm@x99.07.example"
        server.fake.refused[refused] = Answer(550, "5.1.1 no such user")
        with field.stream(province) as running:
            running.wait_for(30)
            server.order("CONNECT", Answer(421), Drop())
            server.order("EHLO", Answer(451))
            server.order("MAIL", Answer(451), Drop(), Slow(1))
            server.order("RCPT", Answer(450), Answer(452), Drop(), Answer(550))
            server.order("DATA", Answer(451), Drop(), Answer(554))
            server.order(
                "BODY", Answer(451), Drop(), AcceptThenDrop(), Hang(), AcceptThenHang(), Slow(1), Answer(554), Garbage()
            )
            server.order("QUIT", Drop(), Answer(500), Garbage())
            ordered = server.left()
            _more_mails(server, 40)
            server.stop_listening()
            time.sleep(4)
            server.listen_again()
            _more_mails(server, 40)
            ledger = running.stop()
        field.happened("acts of the mail server", ordered - server.left())
        stores = field.judge(province, ledger, mails=server.mails)
        _mail_figures(field, server, [(notice.state, notice.unknowns) for notice in stores.notices])
        # or it was withdrawn before its turn came
        ends = {notice.state for notice in stores.notices if notice.recipient == refused}
        if not ends <= {"failed", "cancelled"}:
            raise AssertionError(f"notices to a refused recipient ended as {', '.join(sorted(ends))}")
    if not field.controls:
        return
    broken = {"notifier": {"FAULT_CONTROL": "uncertain_is_retried"}}
    with MailServer() as server, field.province(smtp_address=server.address, service_env=broken) as province:
        server.order("BODY", *(AcceptThenDrop() for _ in range(6)))
        with field.load(province, 60) as running:
            ledger = running.finish()
        field.control("uncertain_is_retried", province, ledger, ["I5"], seconds=20, mails=server.mails)


def _mail_figures(field: Field, server: MailServer, states: list[tuple[str, int]]) -> None:
    taken = Counter(server.mails())
    field.figure("notices", dict(Counter(state for state, _ in states)))
    field.figure("left unknown", sum(unknowns for _, unknowns in states))
    field.figure("mails taken twice", sum(1 for count in taken.values() if count == 2))
    field.figure("mails taken more often", sum(1 for count in taken.values() if count > 2))


def _die_in_each_state(field: Field, province: Province) -> int:
    deaths = 0
    for state in STATES:
        province.component("notifier").kill()
        province.set_env("notifier", FAILPOINTS=f"mail.{state}=exit")
        province.component("notifier").start()
        province.wait_exit("notifier", 90)
        deaths += 1
    province.revive("notifier")
    return deaths


@row("21", "the notifier dies in each state of a mail; a lease runs out while its holder lives", "I5", "I6")
def notifier_dies(field: Field) -> None:
    wanted = {"intake": 1, "validator": 1, "scoring": 1, "notifier": 1}
    with MailServer() as server, field.province(services=wanted, smtp_address=server.address) as province:
        with field.stream(province) as running:
            running.wait_for(30)
            field.happened("deaths of the notifier", _die_in_each_state(field, province))
            province.stack.add_instance("notifier")
            server.order("BODY", Slow(2.5), Slow(2.5))
            url = province.database_urls["notifier"]
            held = "SELECT count(*) FROM notifications WHERE token IS NOT NULL"
            poll_until(lambda: call(lambda: execute(url, held)) > 0, 30, 0.02)
            province.component("notifier").pause()
            time.sleep(LEASE_SECONDS + 3)
            province.component("notifier").resume()
            running.wait_for(running.stored + 20)
            ledger = running.stop()
        expired = "SELECT count(*) FROM attempts WHERE outcome = 'expired' OR outcome = 'unknown' OR late"
        field.happened("attempts that ran out", call(lambda: execute(url, expired)))
        stores = field.judge(province, ledger, mails=server.mails)
        _mail_figures(field, server, [(notice.state, notice.unknowns) for notice in stores.notices])
    if not field.controls:
        return
    broken = {"notifier": {"FAULT_CONTROL": "in_data_not_committed"}}
    with MailServer() as server, field.province(smtp_address=server.address, service_env=broken) as province:
        with field.load(province, 60) as running:
            ledger = running.finish()
        for _ in range(2):
            province.component("notifier").kill()
            province.set_env("notifier", FAILPOINTS="mail.answered=exit")
            province.component("notifier").start()
            with field.load(province, 30) as running:
                running.finish()
            province.wait_exit("notifier", 60)
        province.revive("notifier")
        time.sleep(LEASE_SECONDS)
        field.control("in_data_not_committed", province, ledger, ["I5"], seconds=20, mails=server.mails)


@row(
    "22",
    "webhook: 500, 429, 410, hang, redirect to 127.0.0.1, DNS rebinding",
    "I4",
    expected_failure="webhooks are not built: notifier has no table of endpoints and no route for them",
)
def webhook_misbehaves(field: Field) -> None:
    url = field.ground.template_url("notifier")
    tables = "SELECT count(*) FROM information_schema.tables WHERE table_name LIKE '%webhook%'"
    if not call(lambda: execute(url, tables)):
        raise Unproved("notifier has no webhooks")
    # Whoever builds them writes the row here; until then it must not pass in silence.
    field.result.checked.add("I4")
