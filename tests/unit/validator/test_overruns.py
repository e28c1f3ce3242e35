"""Which tier and rule ran over is known although the process that judged was ended, and is said in both languages."""

from __future__ import annotations

import mmap
import signal
from collections.abc import Iterator
from itertools import count

import pytest

from services.validator import judge_process
from services.validator.domain import Overrun, judge
from services.validator.judge_process import PAGE_BYTES, Timer, place_in
from services.validator.rules.forms import compile_form
from shared.contract.events import FigureField, Form, NarrativeField, PackRule, RuleTest, Tier

FORM = Form(
    figures=(FigureField(code="A", label="A"), FigureField(code="B", label="B")),
    narratives=(NarrativeField(code="N", label="Đánh giá"),),
    rules=(
        PackRule(
            id="KT-1", tier="consistency", severity="error", assert_="[A] = [B]", message="A khác B",
            message_en="A is not B", fix="Sửa", fix_en="Mend it",
            tests=(RuleTest(figures={"A": "1", "B": "2"}, fires=("KT-1",), verdict="returned"),),
        ),
    ),
)  # fmt: skip


@pytest.fixture
def armed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds for which the kernel's timer would have been armed; the clock goes on by 0.1 s at each look."""
    seconds: list[float] = []
    ticks: Iterator[int] = count()
    monkeypatch.setattr(signal, "setitimer", lambda _which, after: seconds.append(after))
    monkeypatch.setattr(judge_process, "work_seconds", lambda: next(ticks) / 10)
    return seconds


def test_judging_says_where_it_is_in_the_order_of_its_stages() -> None:
    places: list[tuple[Tier, str]] = []
    given = {"A": "1", "B": "1"}
    judge(compile_form(FORM), given, {"N": "Tốt."}, nil=False, enter=lambda tier, rule: places.append((tier, rule)))
    assert places == [
        ("validity", ""), ("consistency", ""), ("narrative", "N"), ("structure", ""), ("consistency", "KT-1"),
    ]  # fmt: skip


def test_each_tier_has_its_own_time_and_all_together_the_report_s(armed: list[float]) -> None:
    page = mmap.mmap(-1, PAGE_BYTES)
    timer = Timer(page, 2.0, {"narrative": 1.0, "consistency": 5.0})
    assert (armed, place_in(page)) == ([2.0], Overrun("report", "structure", "", 2.0))
    timer.enter("narrative", "N")
    assert place_in(page) == Overrun("tier", "narrative", "N", 1.0)
    timer.enter("narrative", "M")  # the same tier: the timer runs on
    assert place_in(page) == Overrun("tier", "narrative", "M", 1.0)
    timer.enter("consistency", "KT-1")
    assert place_in(page) == Overrun("report", "consistency", "KT-1", 2.0), (
        "less is left of the report than of the tier"
    )
    timer.enter("narrative", "N")
    assert armed == pytest.approx([2.0, 1.0, 1.8, 0.9]), "what the tier took before counts"


def test_a_timer_is_never_armed_for_nothing(armed: list[float]) -> None:
    """For 0 the kernel would not end it at all."""
    timer = Timer(None, 0.15, {})
    tiers: tuple[Tier, ...] = ("narrative", "validity", "narrative")
    for tier in tiers:
        timer.enter(tier, "")
    assert min(armed) > 0


@pytest.mark.parametrize(
    ("overrun", "vi", "en"),
    [
        (Overrun("tier", "narrative", "N01", 1.5), "dùng quá 1,5 giây", 'the tier "narrative" took more than 1.5 s'),
        (Overrun("report", "consistency", "", 2.0), "dùng quá 2 giây", "took more than 2 s"),
        (Overrun("memory", "validity", "T01", 2.0), "cần quá nhiều bộ nhớ", "needs too much memory"),
    ],
)
def test_the_finding_names_the_limit_and_the_place(overrun: Overrun, vi: str, en: str) -> None:
    finding = overrun.finding
    assert vi in finding.message
    assert en in finding.message_en
    assert (finding.tier, finding.severity, finding.weight, finding.path) == (overrun.tier, "warning", "info", "")
    assert overrun.rule in finding.message
    assert overrun.rule in finding.message_en
