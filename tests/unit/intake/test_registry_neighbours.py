"""The neighbours' own checks: each refuses what its service could not live with; one that breaks refuses its cause."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from io import StringIO
from typing import Any

import pytest

from services.board import check as board
from services.intake.registry import neighbours
from services.intake.registry.neighbours import NEIGHBOURS, ROOT, ask
from services.intake.registry.source import Located, Source
from services.notifier import check as notifier
from services.scoring import check as scoring
from services.scoring.calendar import shipped_calendars
from services.scoring.obligations.deadlines import plans_between
from services.validator import check as validator
from shared.contract import checking
from shared.contract.checking import Checker, Look, Objection
from shared.contract.events import Deadline, RegistryEvent
from shared.runtime.file_errors import FileError
from tests.integration.intake import rig
from tests.integration.intake.rig import NOW, agency, officer, regime, request

CHECKERS: dict[str, Checker] = {
    "validator": validator.checker, "scoring": scoring.checker, "notifier": notifier.checker,
    "board": board.checker,
}  # fmt: skip


def objections(name: str, record: RegistryEvent, *others: RegistryEvent) -> list[Objection]:
    look = Look((record,), others, NOW)
    return list(CHECKERS[name](look)(record))


def located(*records: RegistryEvent) -> list[Located]:
    return [
        Located(record, Source("x.yaml", f"/{line}", {f"/{line}": (line, 1)})) for line, record in enumerate(records, 1)
    ]


FRIDAY = {"rule": "weekday", "weekday": 5}


def monthly(rule: str = "day_of_month", **deadline: int) -> RegistryEvent:
    return regime(deadline={"rule": rule, **deadline})


def monthly_from(year: int, rule: str = "day_of_month", until: int | None = None, **deadline: int) -> RegistryEvent:
    ends = date(until, 12, 31) if until else None
    return regime(effective_from=date(year, 1, 1), effective_to=ends, deadline={"rule": rule, **deadline})


def weekly_from(year: int, **deadline: Any) -> RegistryEvent:
    return regime(
        frequency="weekly", effective_from=date(year, 1, 1), deadline={"rule": "weekday", **deadline}
    )  # its cut-off is the Sunday


ADHOC = regime("THIENTAI", frequency="adhoc", deadline={"rule": "on_request"})


def asked(issued_at: str, deadline: str, **others: Any) -> list[str]:
    """What scoring says how to mend a question of one agency to others."""
    fields = {"asked_by": "H99.01", "issued_at": f"2026-{issued_at}+07:00", "deadline": f"2026-{deadline}+07:00"}
    record = request("TT-H99.01-1", **{**fields, **others})
    return [objection.fix_en for objection in objections("scoring", record, ADHOC)]


def test_a_question_leaves_a_working_day_over_weekends_and_holidays() -> None:
    assert asked("10-21T15:00", "10-22T15:00") == []  # Wednesday to Thursday
    assert asked("10-23T15:00", "10-24T15:00") == ["Give a deadline of 15:00 26/10/2026 or later."]  # over a weekend
    assert asked("10-23T15:00:00.5", "10-26T15:00") == ["Give a deadline of 15:01 26/10/2026 or later."]
    assert asked("10-23T15:00", "10-26T15:00") == []
    assert asked("11-23T10:00", "11-24T10:00") == ["Give a deadline of 10:00 25/11/2026 or later."]  # 24/11: a holiday
    assert asked("11-23T10:00", "11-25T10:00") == []
    # what others order, what is withdrawn and what is over is none of it
    assert asked("10-23T15:00", "10-24T15:00", asked_by=None) == []
    assert asked("10-23T15:00", "10-24T15:00", withdrawn_at="2026-10-23T16:00+07:00") == []
    assert asked("10-16T15:00", "10-17T15:00") == []


@pytest.mark.parametrize(
    ("name", "record", "pointer", "what"),
    [
        ("validator", regime(form={"figures": [{"code": "A", "label": "a"}], "sums": [
            {"code": "S", "total": "A", "terms": []}]}), "/form", "no terms"),
        ("validator", regime(form={"figures": [{"code": "A", "label": "a", "minimum": "1e60"}]}), "/form", "digits"),
        ("scoring", monthly(day=18, month_offset=202601), "/deadline", "planned"),
        ("scoring", monthly("working_days_after_cutoff", working_days=10**9), "/deadline", "planned"),
        ("scoring", regime(deadline={"rule": "on_request"}, frequency="adhoc"), "", ""),
        ("scoring", monthly(day=3), "/deadline", "before its own cut-off"),
        ("scoring", regime(frequency="weekly", deadline=FRIDAY), "/deadline", "before its own cut-off"),
        ("scoring", regime(frequency="weekly", deadline=FRIDAY, cutoff={"weekday": 5}), "/deadline", "no working day"),
        ("scoring", regime(frequency="weekly", deadline=FRIDAY, cutoff={"weekday": 4}), "", ""),
        # before Tết a week has no working day: the deadline moves behind it, or nobody can meet it
        ("scoring", regime(frequency="weekly", deadline={**FRIDAY, "on_holiday": "keep"}, cutoff={"weekday": 4}),
         "/deadline", "no working day"),
        ("scoring", monthly(day=14), "/deadline", "no working day"),
        ("scoring", monthly(day=15), "", ""),
        ("scoring", monthly("working_days_after_cutoff", working_days=1), "", ""),
        # the first working day has only begun
        ("scoring", monthly("working_days_after_cutoff", working_days=1, hour=0), "/deadline", "no working day"),
        ("scoring", monthly("working_days_after_cutoff", working_days=1, hour=8), "/deadline", "no working day"),
        ("scoring", monthly("working_days_after_cutoff", working_days=1, hour=8, minute=1), "", ""),
        ("scoring", monthly("working_days_after_cutoff", working_days=2, hour=0), "", ""),
        ("scoring", monthly_from(2060, day=3), "/deadline", "Period 2060-M01: the deadline"),
        ("scoring", monthly_from(2060, day=14), "/deadline", "no working day"),
        ("scoring", monthly_from(2060, day=15), "", ""),
        ("scoring", monthly_from(2900, "working_days_after_cutoff", working_days=250), "", ""),
        ("scoring", monthly_from(2020, day=3, until=2021), "/deadline", "Period 2020-M01: the deadline"),
        ("scoring", monthly_from(2020, day=14, until=2021), "/deadline", "no working day"),
        ("scoring", monthly_from(2020, day=15, until=2021), "", ""),
        ("scoring", weekly_from(2060, weekday=5), "/deadline", "before its own cut-off"),
        ("scoring", weekly_from(2060, weekday=6), "", ""),  # a Saturday moves to the Monday after
        ("scoring", weekly_from(2060, weekday=6, on_holiday="keep"), "/deadline", "before its own cut-off"),
        ("scoring", regime(frequency="yearly", effective_from=date(2043, 1, 1), deadline={
            "rule": "day_of_month", "day": 13}), "/deadline", "no working day"),
        ("scoring", regime(remind_working_days=10**7), "", ""),
        ("scoring", regime(effective_from=date(2900, 1, 1)), "", ""),
        ("scoring", request(deadline=NOW.replace(year=2098)), "/deadline", "2098"),
        ("scoring", request(regime="NONE"), "/regime", "No version"),
        ("notifier", regime(name="hai\ndòng"), "/name", "control character"),
        ("notifier", request(title="hai\ndòng"), "/title", "control character"),
        ("notifier", agency("H99.03", name="hai\ndòng"), "/name", "control character"),
        ("notifier", officer("cb", "H99.03", name="hai\ndòng"), "/name", "control character"),
        ("notifier", officer("cb", "H99.03", email="a b@example.vn"), "/email", "No mail"),
        ("notifier", regime(name="ế" * 300, name_en="e" * 300, legal_basis="đ" * 1000), "", ""),
    ],
)  # fmt: skip
def test_each_neighbour_refuses_what_it_cannot_live_with(
    name: str, record: RegistryEvent, pointer: str, what: str
) -> None:
    told = objections(name, record, ADHOC)
    assert [error.pointer for error in told] == ([pointer] if pointer else []), told
    assert all(what in error.message_en and error.message and error.fix and error.fix_en for error in told), told


def test_the_control_without_a_calendar_of_weekends_no_deadline_of_2060_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert objections("scoring", monthly_from(2060, day=3)) != []
    shipped = shipped_calendars()[0].file.calendar()
    monkeypatch.setattr(scoring, "_weekends", lambda year: shipped)
    assert objections("scoring", monthly_from(2060, day=3)) == []


def test_a_version_that_another_took_the_place_of_governs_nothing_and_is_not_judged() -> None:
    wrong = monthly_from(2060, day=3)
    mended = wrong.model_copy(update={"regime_version": 2, "replaces": 1, "deadline": Deadline(rule="day_of_month")})
    assert objections("scoring", wrong, mended) == []
    assert objections("scoring", mended, wrong) == []


def test_many_versions_of_a_regime_cost_in_proportion() -> None:
    """Each was planned beside all the others: once quadratic."""

    def count(versions: int) -> int:
        first = date(2020, 1, 1)
        all_of_them = tuple(
            regime(regime_version=number + 1, effective_from=first + timedelta(days=31 * number))
            for number in range(versions)
        )
        asked = 0

        def counting(given: Any, *others: Any) -> Any:
            nonlocal asked
            asked += len(given)
            return plans_between(given, *others)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(scoring, "plans_between", counting)
            check = scoring.checker(Look(all_of_them, (), NOW))
            assert [told for record in all_of_them for told in check(record)] == []
        return asked

    assert count(40) < 2.2 * count(20)


def test_nobody_has_objections_to_what_is_good() -> None:
    good = [record for record in rig.records() if record.key != "regime/TUAN/1"]
    for name, checker in CHECKERS.items():
        check = checker(Look(tuple(good), (), NOW))
        assert [told for record in good for told in check(record)] == [], name


def test_a_name_that_cannot_be_mailed_is_found_among_many_fine_ones() -> None:
    people = [officer(f"cb-{number}", "H99.01") for number in range(120)]
    people[70] = officer("cb-70", "H99.01", name="A\nB")
    check = notifier.checker(Look(tuple(people), (), NOW))
    assert [person.officer_id for person in people if list(check(person))] == ["cb-70"]


def test_the_operators_command_speaks_ndjson_and_needs_neither_database_nor_kafka() -> None:
    records = [regime(deadline={"rule": "day_of_month", "day": 3}, version=1), regime("GOOD", version=1)]
    lines = "\n".join(json.dumps({"type": record.TYPE, "body": json.loads(record.encode())}) for record in records)
    bare = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
    for module in ("services.scoring", "services.scoring.check"):
        arguments = ["check"] if module == "services.scoring" else []
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments, "--now", NOW.isoformat()],
            input=lines, capture_output=True, text=True, cwd=ROOT, env=bare, timeout=60, check=True,
        )  # fmt: skip
        said = [json.loads(line) for line in done.stdout.splitlines()]
        assert [set(line) for line in said[:3]] == [{"looks at"}, {"at"}, {"key", *Objection.__slots__}]
        assert said[2]["key"] == "regime/KTXH/1"
        assert said[-1] == {"done": 2}


def test_all_neighbours_are_asked_side_by_side_and_their_errors_have_lines() -> None:
    bad = regime(
        "BAD", name="hai\ndòng", deadline={"rule": "day_of_month", "day": 3},
        form={"figures": [{"code": "A", "label": "a"}], "sums": [{"code": "S", "total": "A", "terms": []}]},
    )  # fmt: skip
    errors = ask(NEIGHBOURS, located(regime(), bad), [], NOW)
    assert {(error.file, error.line, error.place) for error in errors} == {
        ("x.yaml", 2, "/2/form"), ("x.yaml", 2, "/2/deadline"), ("x.yaml", 2, "/2/name"),
    }  # fmt: skip
    assert ask(NEIGHBOURS, located(regime()), [], NOW) == []


BREAKING = """
import os, resource, signal, sys, time
def spin():
    while True:
        pass
from shared.contract import checking
checking.RECORD_CPU_SECONDS = 0.5
checking.PROCESS_CPU_SECONDS = 20
def checker(look):
    def check(record):
        if record.key == "agency/H99.13":
            {how}
        return []
    return check
sys.exit(checking.main("x", checker, sys.argv[1:]))
"""


def breaking(how: str) -> Callable[[str], Sequence[str]]:
    return lambda _: (sys.executable, "-c", BREAKING.replace("{how}", how))


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ("os._exit(7)", "exit code 7"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("signal.setitimer(signal.ITIMER_PROF, 0); resource.setrlimit(resource.RLIMIT_CPU, (1, 1)); spin()",
         "SIGKILL|SIGXCPU"),
        ("raise ValueError('no such thing')", "ValueError: no such thing"),
        ("bytearray(1 << 34)", "MemoryError"),
        ("spin()", "more than"),
    ],
)  # fmt: skip
def test_a_check_that_breaks_refuses_the_record_that_broke_it_and_no_other(how: str, what: str) -> None:
    records = located(*(agency(f"H99.{number}") for number in range(11, 15)))
    errors = ask(["x"], records, [], NOW, start=breaking(how))
    assert [(error.line, error.place) for error in errors] == [(3, "/3")], errors
    assert any(part in errors[0].message_en for part in what.split("|")), errors[0].message_en
    # control: without that record nothing breaks
    rest = [located for located in records if located.record.key != "agency/H99.13"]
    assert ask(["x"], rest, [], NOW, start=breaking(how)) == []


def test_a_check_that_hangs_is_ended() -> None:
    wait = "import threading; threading.Event().wait()"
    [error] = ask(["x"], located(agency("H99.13")), [], NOW, start=breaking(wait), run_seconds=2)
    assert (error.line, "did not end within 2 s" in error.message_en) == (1, True)


def test_a_neighbour_whose_code_is_not_here_is_told_with_the_way_out() -> None:
    errors: list[FileError] = []
    starts: list[Callable[[str], Sequence[str]]] = [
        lambda _: (sys.executable, "-m", "services.nobody.check"), lambda _: ("/nowhere/python",),
    ]  # fmt: skip
    for start in starts:
        errors += ask(["scoring"], located(agency("H99.10")), [], NOW, start=start)
    assert len(errors) == 2
    assert all("INTAKE_CHECKS_OFF=scoring" in error.fix_en and not error.file for error in errors)


def test_no_password_reaches_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTAKE_DATABASE_URL", "postgresql://a:secret@h/d")
    how = "raise ValueError(str([n for n in os.environ if 'DATABASE' in n or 'TOKEN' in n]))"
    [error] = ask(["x"], located(agency("H99.13")), [], NOW, start=breaking(how))
    assert "[]" in error.message_en


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"type": "x"}', '{"type": "vn.thongsuot.verdict.reached.v1", "body": {}}']
)
def test_a_line_that_is_no_registry_event_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        checking.read(StringIO(line), NOW)


def test_objections_of_one_record_are_bounded() -> None:
    def checker(look: Look) -> Any:
        return lambda record: (Objection(f"/{n}", "", "", "", "") for n in range(10**9))

    out = StringIO()
    checking.run(Look((agency("H99"),), (), NOW), checker, out)
    assert out.getvalue().count('"pointer"') == checking.MAX_PROBLEMS


def test_the_neighbours_are_the_services_that_have_the_command() -> None:
    having = {path.parent.name for path in (ROOT / "services").glob("*/check.py")}
    assert having == set(neighbours.NEIGHBOURS)


def test_a_remark_of_a_neighbour_is_told_and_is_no_error() -> None:
    figures = [{"code": code, "label": "a", "minimum": "0", "maximum": "9"} for code in "AB"]
    words = dict.fromkeys(("message", "message_en", "fix", "fix_en"), "x")
    rule = {"id": "QT-01", "tier": "validity", "severity": "error", **words, "tests": [{"figures": {}}]}  # fmt: skip
    remarked, refused = (
        regime(form={"figures": figures, "rules": [rule | {"assert": asserts}]})
        for asserts in ("[A] <= [B] + [B]", "[A] > 9")
    )
    [found] = ask(["validator"], located(remarked), (), NOW)
    assert (found.remark, found.place) == (True, "/1/form/rules/0/assert")
    assert "nhiều lần" in found.message
    [found] = ask(["validator"], located(refused), (), NOW)
    assert (found.remark, found.place) == (False, "/1/form/rules/0/assert")
