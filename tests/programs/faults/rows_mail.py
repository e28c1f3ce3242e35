"""Rows 20 and 21: a mail server that misbehaves at every verb, a notifier that dies in every state."""

from __future__ import annotations

import time
from collections import Counter
from uuid import UUID

import asyncpg

from deploy.local.calls import call
from deploy.local.process import poll_until
from tests.fakes.smtp import AcceptThenDrop, AcceptThenHang, Answer, Drop, Garbage, Hang, Slow
from tests.programs.faults.ground import Province
from tests.programs.faults.mailserver import MailServer
from tests.programs.faults.matrix import Field, Unproved, row
from tests.programs.faults.sql import execute

#: points at which a notifier dies: in each state of a mail and around the two commits of its ledger
STATES = (
    "claimed",
    "before_mark",
    "before_commit_of_mark",
    "mark_committed",
    "in_data",
    "answered",
    "before_commit_of_outcome",
    "outcome_committed",
    "after_outcome",
)
LEASE_SECONDS = 8.0
PLAYED_SECONDS = 90.0
_HELD = """
    SELECT a.token, a.worker FROM notifications n JOIN attempts a ON a.token = n.token
     WHERE n.state IN ('claimed', 'in_data') AND ($1 = '' OR a.worker = $1)
"""
#: counts claims of one sender that another took over
_TAKEN_OVER = """
    SELECT count(*) FROM attempts a JOIN attempts b USING (notification_id)
     WHERE a.token = ANY($1::uuid[]) AND b.number > a.number AND b.worker <> a.worker
"""
_STILL_OPEN = """
    SELECT count(*) FROM attempts a JOIN notifications n ON n.id = a.notification_id
     WHERE a.token = ANY($1::uuid[]) AND n.state NOT IN ('cancelled', 'sent', 'failed')
"""
_SENT = "SELECT count(*) FROM attempts WHERE outcome = 'sent'"


def _more_mails(server: MailServer, count: int, seconds: float = 60) -> None:
    """Wait until the server has taken so many more."""
    wanted = len(server.fake.accepted) + count
    poll_until(lambda: len(server.fake.accepted) >= wanted, seconds)


@row(
    "20",
    "SMTP: 4xx, 5xx, drops before, in and after DATA, a bad QUIT, silence, slowness",
    "I5",
    "I6",
    controls={"uncertain_is_retried": ["I5"]},
)
def mail_server_misbehaves(field: Field) -> None:
    # QUIT follows so many mails: otherwise a notifier sends it only after 20 quiet seconds
    often = {"notifier": {"NOTIFIER_SMTP_MESSAGES_PER_CONNECTION": "3"}}
    with MailServer() as server, field.province(smtp_address=server.address, service_env=often) as province:
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
            _more_mails(server, 40)
            server.stop_listening()
            time.sleep(4)
            server.listen_again()
            _more_mails(server, 40)
            poll_until(lambda: server.left() == 0, PLAYED_SECONDS)
            ledger = running.stop()
        field.happened("acts of the mail server", server.played())
        field.happened("times QUIT was said", server.quits())
        if server.left():
            raise Unproved(f"acts that were not played: {server.unplayed()}")
        stores = field.judge(province, ledger, mails=server.mails)
        _mail_figures(field, server, [(notice.state, notice.unknowns) for notice in stores.notices])
        # or it was cancelled before its turn
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
        field.control("uncertain_is_retried", province, ledger, mails=server.mails)


def _mail_figures(field: Field, server: MailServer, states: list[tuple[str, int]]) -> None:
    taken = Counter(server.mails())
    field.figure("notices", dict(Counter(state for state, _ in states)))
    field.figure("left unknown", sum(unknowns for _, unknowns in states))
    field.figure("mails taken twice", sum(1 for count in taken.values() if count == 2))
    field.figure("mails taken more often", sum(1 for count in taken.values() if count > 2))


def _die_in_each_state(field: Field, province: Province, server: MailServer) -> int:
    deaths = 0
    url = province.database_urls["notifier"]
    for state in STATES:
        province.component("notifier").kill()
        sent, quits = call(lambda: execute(url, _SENT)), server.quits()
        province.set_env("notifier", FAILPOINTS=f"mail.{state}=exit")
        province.component("notifier").start()
        province.wait_exit("notifier", 90)
        deaths += 1
        if state == "outcome_committed":
            field.happened("mails recorded as sent by the one that died next", call(lambda: execute(url, _SENT)) - sent)
            if server.quits() != quits:
                raise Unproved("it had said QUIT before it died")
    province.revive("notifier")
    return deaths


async def _held(url: str, worker: str = "") -> list[tuple[UUID, str]]:
    """Return the tokens held now, by holder."""
    connection = await asyncpg.connect(url, timeout=20)
    try:
        return [(row["token"], row["worker"]) for row in await connection.fetch(_HELD, worker)]
    finally:
        await connection.close()


def _outlived(field: Field, province: Province, server: MailServer) -> None:
    """Pause the sender that holds claims until the other one has taken over some; then resume it."""
    url = province.database_urls["notifier"]
    server.order("BODY", *(Slow(2.5) for _ in range(24)))
    tokens: list[UUID] = []
    holder = ""

    def caught() -> bool:
        nonlocal holder
        held = call(lambda: _held(url))
        if not held:
            return False
        holder = held[0][1]
        province.component(holder).pause()
        tokens[:] = [token for token, _ in call(lambda: _held(url, holder))]
        if not tokens:
            province.component(holder).resume()  # its mails went out just then
        return bool(tokens)

    def taken() -> int:
        return call(lambda: execute(url, _TAKEN_OVER, tokens))

    for _ in range(5):
        if not poll_until(caught, 40, 0.05):
            raise Unproved("no sender was found with a claim in its hands")
        try:
            # all of its mails may be cancelled meanwhile, since the reports came: then there is nothing to take over
            poll_until(lambda: taken() > 0 or call(lambda: execute(url, _STILL_OPEN, tokens)) == 0, 90, 0.3)
            if not province.component(holder).running:
                raise Unproved(f"{holder} did not live to see its leases run out")
            if taken():
                field.happened("claims taken from a holder that lives", taken())
                return
        finally:
            province.component(holder).resume()
    raise Unproved("nobody took on what a paused sender held")


@row(
    "21",
    "the notifier dies in each state of a mail; a lease runs out while its holder lives",
    "I5",
    "I6",
    controls={"in_data_not_committed": ["I5"]},
)
def notifier_dies(field: Field) -> None:
    wanted = {"intake": 1, "validator": 1, "scoring": 1, "notifier": 1, "board": 1}
    short = {"notifier": {"NOTIFIER_LEASE_SECONDS": f"{LEASE_SECONDS:g}"}}
    with (
        MailServer() as server,
        field.province(services=wanted, smtp_address=server.address, service_env=short) as province,
    ):
        with field.stream(province) as running:
            running.wait_for(30)
            field.happened("deaths of the notifier", _die_in_each_state(field, province, server))
            province.stack.add_instance("notifier")
            _outlived(field, province, server)
            running.wait_for(running.stored + 20)
            ledger = running.stop()
        expired = "SELECT count(*) FROM attempts WHERE outcome = 'expired' OR outcome = 'unknown' OR late"
        url = province.database_urls["notifier"]
        field.happened("attempts that ran out", call(lambda: execute(url, expired)))
        stores = field.judge(province, ledger, mails=server.mails)
        _mail_figures(field, server, [(notice.state, notice.unknowns) for notice in stores.notices])
    if not field.controls:
        return
    broken = {"notifier": {**short["notifier"], "FAULT_CONTROL": "in_data_not_committed"}}
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
        field.control("in_data_not_committed", province, ledger, mails=server.mails)
