"""Rows 35 to 37: calendar and policy change under load, and scoring stands still across a deadline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import yaml

from deploy.local.calls import call
from deploy.local.process import poll_until
from services.scoring.calendar import shipped_calendars
from services.scoring.scores.policy import shipped_policies
from tests.programs.faults import people
from tests.programs.faults.ground import Province, operate
from tests.programs.faults.invariants import CHECKS
from tests.programs.faults.load import Ledger
from tests.programs.faults.matrix import Field, Unproved, row
from tests.programs.faults.people import REQUIRED_ITEMS, deserved
from tests.programs.faults.sql import execute
from tests.programs.faults.stores import Stores

#: the week whose deadline lies ahead at BUSINESS_START, and the last one whose deadline lies behind
OPEN, LATE = people.PERIODS[-1], people.PERIODS[-2]
#: their deadlines, and where two days off announced later move them: 6/3 and 13/3/2026 are Fridays
MOVED = {OPEN: ("2026-03-13", "2026-03-16"), LATE: ("2026-03-06", "2026-03-09")}
NEW_CALENDAR, NEW_POLICY = "VN-FAULTS.1", "2026.faults"
#: the new policy's points for timeliness and completeness
TIMELINESS, COMPLETENESS = 70, 20
#: receipts before the change, and after it
BEFORE, AFTER = 60, 60
#: an hour and a half before the deadline of the open week; scoring stands still from then on for as long, and longer
BEFORE_DEADLINE, STANDSTILL_SECONDS = "2026-03-13T15:30:00+07:00", 5400
_DEADLINE_DAY = date(2026, 3, 13)


def _count(province: Province, statement: str, *values: object) -> int:
    return call(lambda: execute(province.database_urls["scoring"], statement, *values))


def _opened(province: Province) -> None:
    """Wait until the open week's obligations are generated, so that there are terms to change."""
    if not poll_until(lambda: _of(province, OPEN) >= len(people.AGENCIES), 90):
        raise Unproved(f"the obligations of {OPEN} are not generated")


def _operate(province: Province, *arguments: str) -> str:
    env = {"BUSINESS_CLOCK": province.env["BUSINESS_CLOCK"]}
    return operate("scoring", province.database_urls["scoring"], *arguments, env=env)


def _deadlines_not_moved(province: Province) -> list[str]:
    """Return the obligations of the two weeks that are not due on the day to which the new calendar moves them."""
    found = []
    for period, (_, day) in MOVED.items():
        asked = """SELECT count(*) FROM obligations
                    WHERE period = $1 AND owed AND CAST(deadline AT TIME ZONE 'Asia/Ho_Chi_Minh' AS date) <> $2"""
        left = _count(province, asked, period, date.fromisoformat(day))
        if left:
            found.append(f"{left} obligations of {period} are not due on {day}")
    return found


def _load_calendar(province: Province, folder: Path) -> None:
    """Load the shipped calendar with two more days off, while reports come in."""
    document = shipped_calendars()[-1].file.model_dump(mode="json")
    document |= {"version": NEW_CALENDAR, "revision": document["revision"] + 1}
    document["days"] += [{"day": days[0], "name": "Nghỉ bão", "name_en": "Storm"} for days in MOVED.values()]
    document["days"].sort(key=lambda entry: entry["day"])
    path = folder / "calendar.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    _operate(province, "calendar-load", str(path))


@row(
    "35",
    "two days off are announced under load: deadlines move, also of what was late",
    "I1",
    "I2",
    "I7",
    controls={"terms_are_final": ["I7"]},
)
def calendar_changes(field: Field) -> None:
    with field.province() as province:
        ledger = _change_under_load(field, province, _load_calendar)
        poll_until(lambda: not _deadlines_not_moved(province), 60)
        field.judge(province, ledger)
        field.result.wrongs["I7"] += _deadlines_not_moved(province)
        field.happened("obligations with moved deadlines", _of(province, OPEN) + _of(province, LATE))
    if not field.controls:
        return
    with field.province(service_env={"scoring": {"FAULT_CONTROL": "terms_are_final"}}) as province:
        ledger = _change_under_load(field, province, _load_calendar)
        field.rest(province, ledger)
        field.red("terms_are_final", "I7", _deadlines_not_moved(province))


def _of(province: Province, period: str) -> int:
    return _count(province, "SELECT count(*) FROM obligations WHERE period = $1", period)


def _change_under_load(field: Field, province: Province, change: Callable[[Province, Path], None]) -> Ledger:
    _opened(province)
    with field.stream(province, versions=3) as running:
        running.wait_for(BEFORE)
        change(province, province.ground.directory)
        changed_at = running.stored
        running.wait_for(changed_at + AFTER)
        ledger = running.stop()
    field.happened("receipts after the change", len(ledger.receipts) - changed_at)
    return ledger


# --- policies --------------------------------------------------------------------------------------------------------


def _load_policy(province: Province, folder: Path) -> None:
    """Load other weights from tomorrow on: the open week is due after that day, the late weeks before it."""
    document = yaml.safe_load(shipped_policies()[-1].body)
    document |= {"version": NEW_POLICY, "effective_from": province.business_start.date() + timedelta(days=1)}
    document["timeliness"]["full"] = str(TIMELINESS)
    document["completeness"]["full"] = str(COMPLETENESS)
    path = folder / "policy.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    _operate(province, "policy-load", str(path))


def _by_either_policy(ledger: Ledger, stores: Stores) -> list[str]:
    """Check I7 with the open week scored by the new policy and every other week by the first."""
    totals = tuple(f"{agency}: total " for agency in people.AGENCIES)
    found = [wrong for wrong in CHECKS["I7"](ledger, stores) if OPEN not in wrong and not wrong.startswith(totals)]
    accepted: dict[str, int] = {}
    for sent in sorted(stores.submissions, key=lambda row: (row.received_at, row.version)):
        what = deserved(sent.body)
        if what.accepted:
            accepted[sent.obligation] = what.present_items
    lines: dict[str, Decimal] = {}
    for obligation, points in stores.score_lines:
        lines[obligation] = lines.get(obligation, Decimal(0)) + points
    for owed in stores.obligations:
        if not owed.obligation.endswith(f"/{OPEN}"):
            continue
        present = accepted.get(owed.obligation)
        wanted = None
        if present is not None:
            share = (Decimal(COMPLETENESS) * present / REQUIRED_ITEMS).quantize(Decimal("0.01"), ROUND_HALF_UP)
            wanted = TIMELINESS + share
        if owed.score != wanted or lines.get(owed.obligation, Decimal(0)) != (owed.score or 0):
            found.append(f"{owed.obligation} has {owed.score}, by the policy of its deadline {wanted}")
    return found


@row(
    "36",
    "a policy in force from tomorrow is loaded under load",
    "I1",
    "I2",
    "I7",
    controls={"terms_are_final": ["I7"]},
)
def policy_changes(field: Field) -> None:
    with field.province() as province:
        ledger = _change_under_load(field, province, _load_policy)
        poll_until(lambda: _by_new_policy(province) >= len(people.AGENCIES), 60)
        field.judge(province, ledger, instead={"I7": _by_either_policy})
        field.happened("obligations of the open week under the new policy", _by_new_policy(province))
        field.happened("of them fulfilled", _fulfilled(province))
    if not field.controls:
        return
    with field.province(service_env={"scoring": {"FAULT_CONTROL": "terms_are_final"}}) as province:
        ledger = _change_under_load(field, province, _load_policy)
        stores = field.rest(province, ledger)
        field.happened("fulfilled in the control", _fulfilled(province))
        field.red("terms_are_final", "I7", _by_either_policy(ledger, stores))


def _by_new_policy(province: Province) -> int:
    asked = "SELECT count(*) FROM obligations WHERE period = $1 AND terms->>'policy_version' = $2"
    return _count(province, asked, OPEN, NEW_POLICY)


def _fulfilled(province: Province) -> int:
    asked = "SELECT count(*) FROM obligations WHERE period = $1 AND standing = 'fulfilled'"
    return _count(province, asked, OPEN)


# --- standstill ------------------------------------------------------------------------------------------------------


@row(
    "37",
    "scoring is dead across a deadline; the relief it proposes is granted",
    "I1",
    "I2",
    "I7",
    controls={"standstill_unnoticed": ["I7"]},
)
def scoring_stands_still(field: Field) -> None:
    with _province_before_the_deadline(field, "") as province:
        ledger = _stand_still(field, province)
        if not poll_until(lambda: _count(province, _PROPOSED) == 1, 90):
            raise Unproved("no relief is proposed")
        field.settle(province, ledger)
        called = [f"{wrongly} called overdue before a decision" for wrongly in _called_overdue(province)]
        relief_id = str(_operate(province, "reliefs", "list", "--status", "proposed")).split()[0]
        _operate(province, "reliefs", "grant", relief_id, "--by", "Trực ban", "--reason", "máy chủ hỏng")
        field.happened("deadlines moved", 1 if poll_until(lambda: _count(province, _RELIEVED) > 0, 60) else 0)
        field.judge(province, ledger, instead={"I7": _with_the_day_relieved})
        field.result.wrongs["I7"] += called
    if not field.controls:
        return
    with _province_before_the_deadline(field, "standstill_unnoticed") as province:
        _stand_still(field, province)
        poll_until(lambda: bool(_called_overdue(province)), 90)
        field.red("standstill_unnoticed", "I7", _called_overdue(province))


_PROPOSED = "SELECT count(*) FROM reliefs WHERE relief_id LIKE 'standstill-%' AND applied_version = version"
_RELIEVED = f"""SELECT count(*) FROM obligations WHERE period = '{OPEN}'
                 AND deadline > CAST(terms->>'deadline' AS timestamptz)"""
_OVERDUE = f"SELECT count(*) FROM obligations WHERE period = '{OPEN}' AND overdue"


def _province_before_the_deadline(field: Field, control: str) -> AbstractContextManager[Province]:
    clock = field.ground.directory / f"clock-{field.seed}-{control or 'own'}"
    clock.write_text("0", encoding="ascii")
    env = {"FAULT_CLOCK": str(clock)}
    scoring = {"scoring": {"FAULT_CONTROL": control}} if control else {}
    return field.province(business_start=BEFORE_DEADLINE, env=env, service_env=scoring)


def _stand_still(field: Field, province: Province) -> Ledger:
    """Kill scoring while reports come in; they go on, and the deadline passes before it is back."""
    _opened(province)
    if not poll_until(lambda: _count(province, "SELECT count(*) FROM sweep_heartbeat") == 1, 90):
        raise Unproved("scoring has not swept yet")
    with field.stream(province, versions=3) as running:
        running.wait_for(BEFORE)
        province.component("scoring").kill()
        Path(province.env["FAULT_CLOCK"]).write_text(str(STANDSTILL_SECONDS), encoding="ascii")
        running.wait_for(running.stored + AFTER)
        ledger = running.stop()
    late = [receipt for receipt in ledger.receipts if receipt.received_at > "2026-03-13T16:30"]
    field.happened("receipts behind the deadline", len(late))
    province.component("scoring").start()
    province.component("scoring").wait_ready()
    return ledger


def _called_overdue(province: Province) -> Sequence[str]:
    marked = _count(province, _OVERDUE)
    return [f"{marked} obligations of {OPEN}"] if marked else []


def _with_the_day_relieved(ledger: Ledger, stores: Stores) -> list[str]:
    """Check I7 with the relief's day taken out of every lateness."""
    return CHECKS["I7"](ledger, replace(stores, special_days={**stores.special_days, _DEADLINE_DAY: False}))
