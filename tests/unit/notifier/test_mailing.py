"""Mailing rules: quiet hours are kept, letters are grouped, nobody is above the limit, and nothing waits for ever."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from services.notifier.ladders.data import LadderError
from services.notifier.mailing import domain
from services.notifier.mailing.data import SHIPPED, parse_rules, shipped_rules
from services.notifier.mailing.domain import Day, Hold, Matter, Release, Silence, Silences, decide, open_window
from shared.contract.working_days import WorkingCalendar
from shared.runtime.clock import LOCAL_ZONE

RULES = shipped_rules().rules
CALENDAR = WorkingCalendar("t", 2026, 2027, days_off=[date(2026, 10, 21)], made_up=())
TEXT = SHIPPED.read_text(encoding="utf-8")
MONDAY = 19  # of October 2026


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 10, day, hour, minute, tzinfo=LOCAL_ZONE)


def matter(number: int = 1, kind: str = "escalation", **changes: Any) -> Matter:
    base = Matter(UUID(int=number), kind, "A", "R", "chair", at(MONDAY, 17, 1))
    return replace(base, **changes)


def day(now: datetime, **changes: Any) -> Day:
    return replace(Day(now, CALENDAR), **changes)


def test_what_comes_in_the_night_waits_for_the_morning_and_goes_out_in_one_letter() -> None:
    six = [matter(number) for number in range(1, 7)]
    held = decide(six, RULES, (), day(at(MONDAY, 17, 1)))
    assert held == [Hold(one.id, at(20, 8, 15), "quiet_until:2026-10-20T08:15:00+07:00") for one in six]
    waited = [replace(one, since=at(20, 8, 15)) for one in six]
    assert decide(waited, RULES, (), day(at(20, 8, 15))) == [Release(tuple(one.id for one in six))]
    assert len(decide(waited, replace(RULES, group=frozenset()), (), day(at(20, 8, 15)))) == 6, "control: not grouped"


def test_a_day_off_is_waited_out_and_a_year_without_a_calendar_is_not() -> None:
    (held,) = decide([matter()], RULES, (), day(at(20, 17, 30)))
    assert isinstance(held, Hold)
    assert held.until == at(22, 8, 15), "the 21st is a day off"
    (held,) = decide([matter()], RULES, (), day(at(20, 17, 30), calendar=None))
    assert isinstance(held, Hold)
    assert held.until == at(21, 8, 15)


def test_offices_rest_on_saturday_and_sunday_where_no_calendar_says_otherwise() -> None:
    assert [domain.works(None, date(2026, 10, 19 + number)) for number in range(7)] == [True] * 5 + [False] * 2
    assert [domain.works(CALENDAR, date(2030, 1, on)) for on in (4, 5)] == [True, False], "a year it does not cover"


def test_a_window_opens_on_its_first_minute_and_is_over_on_its_last() -> None:
    hours = ((7, 59), (8, 0), (11, 29), (11, 30), (13, 30), (17, 0))
    assert [open_window(RULES, day(at(20, *hour))) is not None for hour in hours] == [
        False, True, True, False, True, False,
    ]  # fmt: skip


def test_a_reminder_waits_if_four_hours_are_left_then() -> None:
    next_letters = at(20, 8, 15)
    for left, waits in ((timedelta(hours=4), True), (timedelta(hours=4) - timedelta(seconds=1), False)):
        (found,) = decide([matter(kind="reminder", deadline=next_letters + left)], RULES, (), day(at(MONDAY, 18)))
        assert isinstance(found, Hold) is waits


def test_why_a_letter_was_kept_by_the_days_limit_is_not_forgotten() -> None:
    (found,) = decide([matter(held="limit:6", since=at(20, 17, 30))], RULES, (), day(at(20, 17, 30)))
    assert found == Hold(UUID(int=1), at(22, 8, 15), "limit:6")


def test_the_digest_of_a_silence_moves_with_every_column_and_not_with_the_clock_it_is_read_by() -> None:
    names = [*domain._DIGESTED]
    row: dict[str, Any] = dict.fromkeys(names, "x") | {"until": at(20, 9), "made_at": at(19, 9), "ended_at": None}
    right = domain.digest(row)
    assert domain.digest(row | {"until": at(20, 9).astimezone(UTC), "other": 1}) == right
    others = {domain.digest(row | {name: "y"}) for name in names} | {domain.digest(row | {"until": at(20, 10)})}
    assert len(others | {right}) == len(names) + 2


def test_within_a_window_a_second_letter_waits_for_the_next() -> None:
    later = matter(since=at(20, 9))
    assert decide([later], RULES, (), day(at(20, 9))) == [
        Hold(later.id, at(20, 13, 45), "quiet_until:2026-10-20T13:45:00+07:00")
    ]
    stopped = [matter(1, since=at(20, 8, 15)), later]
    assert decide(stopped, RULES, (), day(at(20, 9))) == [Release((UUID(int=1), later.id))], "late, it takes all along"


def test_reports_in_a_persons_name_of_a_window_go_out_in_one_letter() -> None:
    three = [matter(number, "named", since=at(20, 13)) for number in (1, 2, 3)]
    assert decide(three, RULES, (), day(at(20, 13, 45))) == [Release(tuple(one.id for one in three))]
    other = replace(RULES, group=RULES.group - {"named"})
    assert len(decide(three, other, (), day(at(20, 13, 45)))) == 3, "control: by rules that do not group them"


def test_a_letter_that_lists_several_reports_never_becomes_a_line_of_another() -> None:
    long = [matter(number, "named", since=at(20, 13), alone=number == 3) for number in (1, 2, 3)]
    assert decide(long, RULES, (), day(at(20, 13, 45))) == [
        Release((UUID(int=1), UUID(int=2))),
        Release((UUID(int=3),)),
    ]
    kept = replace(long[2], held="limit:6")
    assert decide([long[0], kept], RULES, (), day(at(20, 13, 45))) == [
        Release((UUID(int=1),)),
        Release((UUID(int=3),)),
    ]


def test_a_digest_goes_out_by_itself_within_a_window_and_the_days_limit() -> None:
    digest = matter(1, "digest", agency="", regime="", since=at(20, 8, 15), alone=True)
    late = matter(2, since=at(20, 8, 15))
    assert set(decide([digest, late], RULES, (), day(at(20, 8, 15)))) == {
        Release((digest.id,)), Release((late.id,)),
    }  # fmt: skip
    (held,) = decide([digest], RULES, (), day(at(20, 9), sent=6))
    assert held == Hold(digest.id, at(22, 8, 15), "limit:6")
    assert isinstance(decide([digest], RULES, (), day(at(20, 12)))[0], Hold), "not at noon"
    of_agency = Silence(UUID(int=9), at(23, 8), agency="A")
    assert decide([digest], RULES, [of_agency], day(at(20, 9))) == [Release((digest.id,))]
    of_digests = Silence(UUID(int=9), at(23, 8), kind="digest")
    assert isinstance(decide([digest], RULES, [of_digests], day(at(20, 9)))[0], Hold)


def test_what_is_urgent_or_answers_somebody_goes_out_at_once() -> None:
    for one in (matter(urgent=True), matter(kind="returned")):
        assert decide([one], RULES, (), day(at(MONDAY, 23), sent=99)) == [Release((one.id,))]
    assert isinstance(decide([matter()], RULES, (), day(at(MONDAY, 23)))[0], Hold), "control"


@pytest.mark.parametrize("kind", ["reminder", "request"])
def test_what_comes_before_the_deadline_does_not_wait_until_it_is_too_late(kind: str) -> None:
    short = matter(kind=kind, deadline=at(20, 9))
    assert decide([short], RULES, (), day(at(MONDAY, 18))) == [Release((short.id,))]
    long = replace(short, deadline=at(22, 17))
    assert isinstance(decide([long], RULES, (), day(at(MONDAY, 18)))[0], Hold)


def test_above_the_days_limit_matters_wait_for_the_next_working_days_letter() -> None:
    several = [matter(number, "decision", since=at(20, 9)) for number in range(1, 9)]
    found = decide(several, RULES, (), day(at(20, 9), sent=4))
    assert Counter(type(one) for one in found) == {Release: 2, Hold: 6}
    assert {one.until for one in found if isinstance(one, Hold)} == {at(22, 8, 15)}
    held = [replace(one, since=at(22, 8, 15), held="limit:6") for one in several[2:]]
    assert len(decide(held, RULES, (), day(at(22, 8, 15)))) == 1, "together, whatever their kind"


def test_what_is_silenced_waits_until_the_end_and_is_told_in_one_letter() -> None:
    silence = Silence(UUID(int=99), at(22, 10), agency="A")
    both = [matter(1, "decision"), matter(2, urgent=True), matter(3, "decision", agency="B")]
    found = decide(both, RULES, [silence], day(at(20, 9)))
    assert found == [
        Hold(UUID(int=1), at(22, 10), f"silence:{silence.id}"),
        Hold(UUID(int=2), at(22, 10), f"silence:{silence.id}"),
        Release((UUID(int=3),)),
    ]
    after = [replace(one, since=at(22, 10), held=f"silence:{silence.id}", urgent=False) for one in both[:2]]
    found = decide(after, RULES, [silence], day(at(22, 10)))
    assert {one.why for one in found if isinstance(one, Hold)} == {f"silence:{silence.id}"}, "why is not forgotten"
    assert decide([replace(one, since=at(22, 13, 45)) for one in after], RULES, [silence], day(at(22, 13, 45))) == [
        Release((UUID(int=1), UUID(int=2)))
    ]


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ('"08:00-11:30"', '"11:30-08:00"', "giờ đầu"),
        ('"13:30-17:00"', '"11:00-17:00"', "chồng nhau"),
        ("gather: 15m", "gather: 5h", "ngắn hơn"),
        ("gather: 15m", "gather: soon", "15m"),
        ('["08:00-11:30", "13:30-17:00"]', '["08:00-09:00"]', "2 giờ"),
        ("at_once: [returned]", "at_once: [overdue]", "một nơi"),
        ("mails_a_day: 6", "mails_a_day: 0", "mails_a_day"),
        ("group: [reminder,", "group: [nagging,", "group"),
        ("group: [reminder,", "group: [digest,", "thư riêng"),
    ],
)
def test_a_file_that_does_not_hold_together_is_refused_with_its_cure(was: str, now: str, said: str) -> None:
    assert was in TEXT
    with pytest.raises(LadderError) as raised:
        parse_rules("x.yaml", TEXT.replace(was, now).encode())
    assert any(said in fault and " / " in fault for fault in str(raised.value).splitlines()), str(raised.value)


class YearOfAMailbox(RuleBasedStateMachine):
    """Matters come at any hour, silences come and go; the sweep sleeps and wakes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = at(MONDAY, 9)
        self.serial = 0
        self.waiting: dict[UUID, Matter] = {}
        self.came: set[UUID] = set()
        self.gone: Counter[UUID] = Counter()
        self.silences: list[Silence] = []
        self.mails: Counter[date] = Counter()
        self.looked = False

    @rule(minutes=st.integers(1, 60 * 24 * 4))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        self.looked = False

    @rule(
        kind=st.sampled_from(["escalation", "overdue", "reminder", "resolved", "decision", "returned", "named"]),
        urgent=st.booleans(), agency=st.sampled_from("AB"), count=st.integers(1, 12),
    )  # fmt: skip
    def matters_come(self, kind: str, urgent: bool, agency: str, count: int) -> None:
        for _ in range(count):
            self.serial += 1
            one = matter(self.serial, kind, urgent=urgent, agency=agency, since=self.now)
            self.waiting[one.id] = one
            self.came.add(one.id)
        self.looked = False

    @rule(hours=st.integers(1, 100), agency=st.sampled_from("AB"))
    def an_operator_silences(self, hours: int, agency: str) -> None:
        self.serial += 1
        self.silences.append(Silence(UUID(int=self.serial), self.now + timedelta(hours=hours), agency=agency))

    @rule()
    def the_sweep_looks(self) -> None:
        today = self.now.astimezone(LOCAL_ZONE).date()
        given = list(self.waiting.values())
        situation = day(self.now, sent=self.mails[today])
        for outcome in decide(given, RULES, self.silences, situation):
            if isinstance(outcome, Hold):
                self.waiting[outcome.id] = replace(
                    self.waiting[outcome.id], since=max(outcome.until, self.now), held=outcome.why
                )
                assert outcome.until > self.now, "it does not stand still"
                continue
            matters = [self.waiting.pop(found) for found in outcome.ids]
            for one in matters:
                self.gone[one.id] += 1
                assert not any(silence.covers(one) for silence in self.silences if silence.until > self.now)
            exempt = all(one.urgent or one.kind == "returned" for one in matters)
            assert exempt or open_window(RULES, situation) is not None, "quiet hours are kept"
            assert exempt or self.mails[today] < RULES.mails_a_day, "nobody is above the limit"
            self.mails[today] += 1
        self.looked = True

    @invariant()
    def each_matter_waits_or_went_out_once(self) -> None:
        assert set(self.gone) | set(self.waiting) == self.came
        assert not set(self.gone) & set(self.waiting)
        assert all(times == 1 for times in self.gone.values())

    @invariant()
    def what_waits_has_a_moment_and_a_reason(self) -> None:
        if self.looked:
            assert all(one.since > self.now and one.held for one in self.waiting.values())

    def teardown(self) -> None:
        """Once the silences are over and days have passed, all has gone out."""
        self.silences = []
        for _ in range(40):
            self.the_sweep_looks()
            if not self.waiting:
                return
            self.now = min(one.since for one in self.waiting.values())
        raise AssertionError("something waits for ever")


YearOfAMailbox.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestYearOfAMailbox = YearOfAMailbox.TestCase


@given(
    st.lists(st.tuples(st.integers(-2, 5), *(st.sampled_from([None, "A", "B"]) for _ in range(4))), max_size=12),
    st.tuples(*(st.sampled_from(["A", "B"]) for _ in range(4))),
)
def test_the_silence_that_is_found_is_the_longest_that_covers(rows: Any, asked: Any) -> None:
    """The same as a look at every silence in force."""
    now = at(20, 9)
    given = [Silence(UUID(int=place), now + timedelta(hours=row[0]), *row[1:]) for place, row in enumerate(rows)]
    agency, regime, person, kind = asked
    one = matter(1, kind, agency=agency, regime=regime, person=person)
    every = [silence for silence in given if silence.until > now and silence.covers(one)]
    found = Silences(given).longest(one, now)
    assert (found and found.until) == max((silence.until for silence in every), default=None)
    assert found is None or found in every


class CountedText(str):
    """Counts how often a text is compared."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        CountedText.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


@pytest.mark.parametrize("named", ["agency", "regime", "person", "kind"])
def test_a_matter_is_compared_with_few_silences_however_many_there_are(named: str) -> None:
    names = [CountedText(f"X{number}") for number in range(1000)]
    given = [Silence(UUID(int=number), at(22, 9), **{named: name}) for number, name in enumerate(names)]
    silences, one = Silences(given), matter(1, "overdue", agency="A", regime="R", person="P")
    last = replace(one, **{named: CountedText("X999")})
    CountedText.compared = 0
    assert silences.longest(last, at(20, 9)) == given[-1]
    assert CountedText.compared < 10
    every = [silence for silence in given if silence.covers(last)]
    assert (every, CountedText.compared >= 1000) == ([given[-1]], True), "the control"


@pytest.mark.parametrize("wrong", ["forgets", "night", "limit", "silence"])
def test_control_rules_that_are_broken_are_found(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    right = decide

    def broken(matters: Any, rules: Any, silences: Any, situation: Day) -> list[Release | Hold]:
        if wrong == "night":
            return [Release((one.id,)) for one in matters]
        if wrong == "limit":
            return right(matters, replace(rules, mails_a_day=99, group=frozenset()), silences, situation)
        found = right(matters, rules, () if wrong == "silence" else silences, situation)
        return [one for one in found if isinstance(one, Release)] if wrong == "forgets" else found

    if wrong == "forgets":
        monkeypatch.setattr(YearOfAMailbox, "time_passes", lambda self, minutes: self.waiting.clear())
    monkeypatch.setattr("tests.unit.notifier.test_mailing.decide", broken)
    with pytest.raises(AssertionError):
        _a_week()


def _a_week() -> None:
    machine = YearOfAMailbox()
    machine.an_operator_silences(hours=30, agency="B")
    for agency in "AB":
        machine.matters_come(kind="decision", urgent=agency == "B", agency=agency, count=12)
    for _ in range(12):
        machine.the_sweep_looks()
        machine.each_matter_waits_or_went_out_once()
        machine.what_waits_has_a_moment_and_a_reason()
        machine.time_passes(minutes=11 * 60)
    machine.teardown()


def test_the_week_of_the_control_is_right_by_itself() -> None:
    _a_week()
    assert domain.MAX_MATTERS >= 50
