"""Row 23b: leases and retries follow system time, however far business times disagree."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from deploy.local.process import poll_until
from tests.fakes.smtp import Slow
from tests.programs.faults.ground import Province
from tests.programs.faults.load import Ledger, merged
from tests.programs.faults.mailserver import MailServer
from tests.programs.faults.matrix import Field, row

HOUR_SECONDS = 3600


@row(
    "23b",
    "the business clock of one notifier is an hour ahead of the other's",
    "I5",
    "I6",
    "I7",
    controls={"leases_by_business_time": ["I5"]},
)
def clocks_disagree(field: Field) -> None:
    with MailServer() as server, _two_clocks(field, server) as province:
        ledger = _slow_mails(field, province, server)
        taken = _leases_taken(province)
        field.figure("leases taken from the living", taken)
        field.judge(province, ledger, mails=server.mails)
        if taken:
            field.result.wrongs["I5"].append(f"{taken} leases were taken from a sender that lives")
    if not field.controls:
        return
    with MailServer() as server, _two_clocks(field, server, FAULT_CONTROL="leases_by_business_time") as province:
        ledger = _slow_mails(field, province, server)
        poll_until(lambda: _leases_taken(province) > 0, 20)
        taken = _leases_taken(province)
        field.red("leases_by_business_time", "I5", [f"{taken} leases were taken"] if taken else [])


@contextmanager
def _two_clocks(field: Field, server: MailServer, **env: str) -> Iterator[Province]:
    """Two notifiers; the business time of the second is an hour ahead."""
    wanted = {"intake": 1, "validator": 1, "scoring": 1, "notifier": 2, "board": 1}
    own = {"notifier": {**env, "NOTIFIER_LEASE_SECONDS": "30"}}
    with field.province(services=wanted, smtp_address=server.address, service_env=own) as province:
        ahead = province.business_start + timedelta(seconds=HOUR_SECONDS)
        province.set_env("notifier-2", BUSINESS_CLOCK=f"{ahead.isoformat()}@{time.time():.3f}x1.0")
        province.component("notifier-2").restart()
        yield province


def _slow_mails(field: Field, province: Province, server: MailServer) -> Ledger:
    """Mails whose server takes its time: claims stand for seconds, well within their leases."""
    ledgers = []
    for _ in range(3):
        server.order("BODY", *(Slow(1.5) for _ in range(12)))
        with field.load(province, 40) as running:
            ledgers.append(running.finish())
        field.settle(province, ledgers[-1], 30)
    field.happened("slow answers of the mail server", 36 - server.left())
    return merged(ledgers)


def _leases_taken(province: Province) -> int:
    return sum(len(province.log_lines(name, "mail.leases_expired")) for name in ("notifier", "notifier-2"))
