"""Rows 1 and 2: intake dies around its commit, and the answer to a commit is lost."""

from __future__ import annotations

from tests.programs.faults.ground import Province
from tests.programs.faults.load import Load
from tests.programs.faults.matrix import Field, row
from tests.programs.faults.proxy import is_commit


def _kill_under_load(field: Field, province: Province, running: Load, at: int) -> int:
    """SIGKILL both instances, one after the other, while receipts go out. Returns the number of kills."""
    for number, name in enumerate(("intake", "intake-2")):
        running.wait_for(at + number * max(10, at // 2))
        province.component(name).kill()
        province.revive(name)
    return 2


@row(
    "1",
    "intake killed before and after its commit, and by SIGKILL under load",
    "I1",
    "I2",
    quick=True,
    controls={"answer_before_commit": ["I1"]},
)
def intake_killed(field: Field) -> None:
    crash = {
        "intake": {"FAILPOINTS": "intake.before_commit=exit@6"},
        "intake-2": {"FAILPOINTS": "intake.after_commit=exit@6"},
    }
    wanted = {"intake": 2, "validator": 1, "scoring": 1, "notifier": 1, "board": 1}
    with field.province(services=wanted, service_env=crash) as province:
        with field.stream(province) as running:
            deaths = 0
            for name in ("intake", "intake-2"):
                province.wait_exit(name)
                deaths += 1
                province.revive(name)
            deaths += _kill_under_load(field, province, running, running.stored + 20)
            ledger = running.stop()
        field.happened("deaths of intake", deaths)
        field.judge(province, ledger)
    if not field.controls:
        return
    crash = {"intake": {"FAILPOINTS": "intake.before_commit=exit@6", "FAULT_CONTROL": "answer_before_commit"}}
    with field.province(service_env=crash) as province:
        with field.stream(province) as running:
            province.wait_exit("intake")
            province.revive("intake")
            ledger = running.stop()
        field.control("answer_before_commit", province, ledger)


@row("2", "the answer to COMMIT is lost", "I1", "I2", "I7")
def commit_answer_lost(field: Field) -> None:
    with field.province() as province:
        proxy = field.ground.database_proxy
        before = proxy.lost_answers
        with field.load(province, 300) as running:
            running.wait_for(30)
            # every service is hit: intake's group, relays, consumers, tickers, the mail journal
            proxy.lose_answer(is_commit, times=25)
            ledger = running.finish()
        field.happened("lost answers to COMMIT", proxy.lost_answers - before)
        field.judge(province, ledger)
