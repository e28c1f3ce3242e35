"""Random years of one regime: what happened in each, as plain data, and the product's rules driven through it.

The driver does without a database what generator, consumer and sweep do with one; it holds no rule of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from services.scoring.calendar import WorkingCalendar
from services.scoring.obligations import deadlines, domain, facts
from services.scoring.obligations.domain import Cause, Obligation, settle
from services.scoring.obligations.facts import NOTHING, Relief, Terms
from services.scoring.obligations.generator import follow_plan, terms_of
from services.scoring.obligations.standing import has_passed, is_due_soon, untouched
from services.scoring.reliefs.store import ScopedRelief
from services.scoring.scores.policy import Policy, PolicyBook
from shared.contract import addressing
from shared.contract.events import NotJudged, StepTaken, SubmissionReceived, VerdictReached
from shared.contract.events.registry import Cutoff, Deadline
from shared.contract.hierarchy import Parents, ParentSince, Tree
from shared.contract.period import Period, parse
from shared.contract.reporting_window import NoWindow, window_of
from shared.runtime.clock import LOCAL_ZONE
from tests.second_scorer.days import VIETNAM
from tests.second_scorer.scorer import World

Data = dict[str, Any]
DAY = timedelta(days=1)
REGIME, AGENCY, PARENT = "R", "H99.1", "H99.02"
_PERIODS = {
    "monthly": [f"M{month:02d}" for month in range(1, 13)], "quarterly": ["Q1", "Q2", "Q3", "Q4"],
    "half_yearly": ["H1", "H2"], "nine_monthly": ["9M"], "yearly": [""], "weekly": ["W07", "W18", "W36", "W52"],
    "adhoc": ["DX"],
}  # fmt: skip


def local(on: date, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    return datetime.combine(on, time(hour, minute, second), VIETNAM)


@dataclass
class Year:
    """One world and the obligations in it, whose keys end in `periods`."""

    seed: int
    world: World
    keys: list[str]
    moments: list[datetime] = field(default_factory=list)  # at which both must agree


def random_year(seed: int) -> Year:
    """A year of one regime for one agency, with what a year may bring."""
    dice = Random(seed)
    year = dice.choice((2024, 2025, 2026))
    begin = local(date(year - 1, 11, 1), 9)
    frequency = dice.choice(sorted(_PERIODS))
    world = World()
    off = {date(year, 1, 1) + dice.randrange(365) * DAY for _ in range(dice.randrange(25))}
    world.calendars.append(_calendar(1, off, year, begin, dice))
    policy = _policy(1, date(2019, 3, 12), begin, dice)
    world.policies.append(policy)
    world.agencies.append(
        {
            "code": AGENCY, "kind": "commune", "version": 1, "known_at": begin, "closed_on": None,
            "opened_on": date(2020, 1, 1) if dice.random() < 0.9 else date(year, dice.randrange(1, 13), 5),
            "parent": PARENT,
        }
    )  # fmt: skip
    world.agencies.append(
        {
            "code": PARENT, "kind": "department", "version": 1, "known_at": begin, "closed_on": None,
            "opened_on": date(2020, 1, 1), "parent": "H99",
        }
    )  # fmt: skip
    groups = Random(f"groups of {seed}")
    first = _regime(1, frequency, date(2020, 1, 1), begin, dice) | groups.choice(({}, {}, *_GROUPS))
    others = Random(f"deadlines of others of {seed}")
    if frequency != "adhoc" and others.random() < 0.5:
        first["deadline"]["overrides"] = _overrides(first, others)
    world.regimes.append(first)
    if dice.random() < 0.3:  # replaced within the year, by another deadline
        other = _regime(2, frequency, first["effective_from"], begin + dice.randrange(40, 300) * DAY, dice)
        world.regimes.append(other | {"cutoff": first["cutoff"]})
    elif dice.random() < 0.2:  # followed by another from a day on
        world.regimes.append(_regime(2, frequency, date(year, dice.randrange(1, 13), 15), begin, dice))
    if frequency == "adhoc":
        _requests(world, year, begin, dice)
    names = [f"{year}-{period}".rstrip("-") for period in _PERIODS[frequency]]
    keys = [f"{AGENCY}/{REGIME}/{'DX-1' if frequency == 'adhoc' else name}" for name in names]
    for _ in range(dice.choice((0, 0, 1, 1, 2))):  # days off or made up, announced within the year
        known_at = begin + timedelta(days=dice.randrange(20, 420), hours=dice.randrange(24), seconds=dice.randrange(60))
        soon = {known_at.date() + dice.randrange(-20, 30) * DAY for _ in range(dice.randrange(1, 6))}
        revision = len(world.calendars) + 1
        world.calendars.append(
            _calendar(revision, off ^ soon if dice.random() < 0.5 else off | soon, year, known_at, dice)
        )
    if dice.random() < 0.4:
        known_at = begin + dice.randrange(300) * DAY
        world.policies.append(_policy(2, known_at.date() + dice.randrange(1, 120) * DAY, known_at, dice))
    for number in range(dice.randrange(1, 4)):
        _officer(world, number, begin, dice)
    if dice.random() < 0.2 and frequency != "adhoc" and len(world.policies) == 1:
        _shortened_then_another_policy(world, first, _about_due(world, keys[-1], begin), dice)
    dues = [due for key in keys if (due := _about_due(world, key, begin)) is not None]
    for number in range(dice.randrange(4)):
        _relief(world, number, dice.choice(dues or [begin + 100 * DAY]), keys, dice)
    for key in keys:
        due = _about_due(world, key, begin)
        if due is not None:
            _reports(world, key, due, dice)
    if groups.random() < 0.4:
        _moves(world, groups.choice(dues or [begin + 100 * DAY]), groups)
    _sweeps(world, dues, begin, dice)
    assert world.sweeps is not None
    waiting = [relief["hold_until"] - timedelta(hours=1) for relief in world.reliefs]
    about = [max(sweep for sweep in world.sweeps if sweep <= moment) for moment in waiting if moment > begin + DAY]
    return Year(seed, world, keys, [*dice.sample(world.sweeps, 3), *about, world.sweeps[-1]])


#: who submits the first version's reports: those below PARENT, of the kind or of any
_GROUPS: tuple[Data, ...] = (
    {"submitter_parents": [PARENT]}, {"submitter_kinds": [], "submitter_parents": [PARENT]},
    {"submitter_kinds": [], "submitter_parents": ["H99"], "submitters_except": ["H99.3"]},
)  # fmt: skip


def _overrides(regime: Data, dice: Random) -> list[Data]:
    """Other deadlines for the agency, for those below its parent or its parent's parent, for its kind, for another."""
    made: list[Data] = []
    names = ({"agencies": [AGENCY]}, {"parents": [PARENT]}, {"parents": ["H99", "H98"]}, {"kinds": ["commune"]},
             {"kinds": ["office", "ward"]})  # fmt: skip
    for named in dice.sample(names, dice.randrange(1, 5)):
        rule = {name: value for name, value in regime["deadline"].items() if name != "overrides"}
        given: Data = {"extra_working_days": dice.randrange(1, 9)}
        if dice.random() < 0.4:
            given = {"deadline": rule | {"hour": dice.randrange(7, 24), "working_days": dice.randrange(1, 9)}}
        made.append(named | given)
    return made


def _moves(world: World, due: datetime, dice: Random) -> None:
    """The agency comes to another group, or back: by its kind, its parent, its parent's parent; at once or ahead."""
    at = due
    for version in range(2, dice.randrange(2, 5) + 1):
        at += timedelta(days=dice.randrange(-25, 12), seconds=dice.randrange(1, 80_000))
        moving = dice.choice((AGENCY, AGENCY, PARENT))
        known = [record for record in world.agencies if record["code"] == moving]
        if at <= known[-1]["known_at"]:
            continue
        change: Data = dice.choice(({"parent": "H98"}, {"parent": PARENT if moving == AGENCY else "H99"}))
        if dice.random() < 0.3:
            change = {"kind": dice.choice(("commune", "office"))}
        elif dice.random() < 0.5:
            change = {"parents": [{"code": "H98", "since": (at + dice.randrange(-20, 40) * DAY).date()}]}
        world.agencies.append(known[-1] | change | {"version": version, "known_at": at})


def _calendar(revision: int, off: set[date], year: int, known_at: datetime, dice: Random) -> Data:
    days = [{"day": on, "work": on.isoweekday() > 5 and dice.random() < 0.7} for on in sorted(off)]
    return {
        "version": f"C{revision}", "revision": revision, "days": days, "known_at": known_at,
        "first_year": year - 2, "last_year": year + 4,
    }  # fmt: skip


def _policy(number: int, effective_from: date, known_at: datetime, dice: Random) -> Data:
    full, floor = dice.choice((("60", "0"), ("50", "5"), ("70.5", "0.25")))
    forgiving = dice.choice((None, "0", "5", "12"))
    clauses = {"on_time": "1.a", "late": "1.b", "overdue": "1.c", "complete": "2.a"}
    if forgiving is not None:
        clauses["grace"] = "1.d"
    return {
        "version": f"P{number}", "effective_from": effective_from, "known_at": known_at,
        "notice_working_days": dice.randrange(6), "source": "dice",
        "timeliness": {"full": full, "off_per_working_day": dice.choice(("10", "7.5")), "floor": floor, "overdue": "0",
                       "off_within_grace": forgiving},
        "completeness": {"full": "40", "fraction_digits": dice.choice((0, 2, 3)), "counts": "accepted"},
        "clauses": clauses,
        "texts": {key: {"text_vi": "x", "text_en": "x", "legal_basis": "x"} for key in clauses.values()},
    }  # fmt: skip


def _regime(number: int, frequency: str, effective_from: date, known_at: datetime, dice: Random) -> Data:
    rules = ["working_days_after_cutoff", "weekday" if frequency == "weekly" else "day_of_month"]
    return {
        "code": REGIME, "regime_version": number, "version": 1, "frequency": frequency, "known_at": known_at,
        "effective_from": effective_from, "effective_to": None, "submitter_kinds": ["commune"], "submitters": [],
        "cutoff": {"day": dice.randrange(1, 29), "weekday": dice.randrange(1, 8)},
        "remind_working_days": dice.randrange(6),
        "certification": dice.choice(("none", "none", "head")),
        "lock_after_working_days": dice.choice((None, None, 1, 3, 10)),
        "grace_working_days": dice.choice((None, None, 1, 4)),
        "deadline": {
            "rule": "on_request" if frequency == "adhoc" else dice.choice(rules), "day": dice.randrange(1, 32),
            "month_offset": 1, "weekday": dice.randrange(1, 8), "week_offset": dice.randrange(1, 3),
            "working_days": dice.randrange(1, 9), "hour": dice.randrange(7, 24), "minute": dice.randrange(60),
            "on_holiday": dice.choice(("keep", "next_working_day")),
        },
    }  # fmt: skip


def _requests(world: World, year: int, begin: datetime, dice: Random) -> None:
    issued_at = local(date(year, 1, 5), 8) + dice.randrange(200) * DAY
    request: Data = {
        "request_id": "DX-1", "regime": REGIME, "issued_at": issued_at, "agencies": [], "known_at": begin,
        "version": 1,
        "deadline": issued_at + timedelta(days=dice.randrange(1, 20), minutes=dice.randrange(600)),
    }  # fmt: skip
    world.requests.append(request)
    if dice.random() < 0.5:  # it is given another deadline
        known_at = issued_at + timedelta(days=dice.randrange(15), seconds=dice.randrange(9_000))
        moved = request["deadline"] + dice.randrange(-4, 9) * DAY
        request |= {"version": 2, "known_at": known_at, "deadline": max(moved, issued_at + DAY)}
        world.requests.append(request)
    if dice.random() < 0.5:  # whoever asked takes it back, before its deadline or after it
        withdrawn_at = request["deadline"] + timedelta(days=dice.randrange(-6, 12), seconds=dice.randrange(9_000))
        withdrawn_at = max(withdrawn_at, issued_at, request["known_at"])
        taken_back = {"version": 3, "known_at": withdrawn_at + timedelta(minutes=1), "withdrawn_at": withdrawn_at}
        world.requests.append(request | taken_back)


def _shortened_then_another_policy(world: World, regime: Data, due: datetime | None, dice: Random) -> None:
    """A deadline that cannot move earlier any more, and a policy that is loaded for its day after that."""
    if due is None or due - 9 * DAY <= regime["known_at"]:
        return
    number = max(version["regime_version"] for version in world.regimes) + 1
    shorter = {"rule": "working_days_after_cutoff", "working_days": 1}
    world.regimes.append(
        regime
        | {
            "regime_version": number,
            "deadline": regime["deadline"] | shorter,
            "known_at": due - timedelta(days=4, hours=3),
        }
    )
    effective_from = due.date() - dice.randrange(2) * DAY
    world.policies.append(_policy(2, effective_from, due - timedelta(days=3, hours=1), dice))


def _officer(world: World, number: int, begin: datetime, dice: Random) -> None:
    world.officers.append(
        {
            "officer_id": f"o{dice.randrange(100)}-{number}", "agency": AGENCY, "known_at": begin, "version": 1,
            "role": dice.choice(("reporting_officer", "reporting_officer", "head")),
            "regimes": dice.choice(([], [REGIME], ["ANOTHER"])), "active": dice.random() < 0.8,
        }
    )  # fmt: skip


def _relief(world: World, number: int, due: datetime, keys: list[str], dice: Random) -> None:
    starts_at = due + timedelta(days=dice.randrange(-6, 8), hours=dice.randrange(-9, 9))
    ends_at = starts_at + timedelta(hours=dice.randrange(1, 200))
    if dice.random() < 0.2:
        ends_at = local(ends_at.date())  # at midnight
        starts_at = min(starts_at, ends_at - DAY)
    proposed_at = starts_at + timedelta(hours=dice.randrange(-300, 200), seconds=dice.randrange(3_600))
    proposed = {
        "relief_id": f"GH-{number}", "version": 1, "status": "proposed", "starts_at": starts_at, "ends_at": ends_at,
        "hold_until": max(ends_at, proposed_at) + DAY, "known_at": proposed_at,
        "agencies": dice.choice(([], [AGENCY], ["H99.2"])), "regimes": dice.choice(([], [REGIME])),
        "obligations": dice.choice(([], [], dice.sample(keys, 1))),
    }  # fmt: skip
    world.reliefs.append(proposed)
    if dice.random() < 0.8:
        decided_at = proposed_at + timedelta(hours=dice.randrange(1, 100))
        status = dice.choice(("granted", "granted", "rejected"))
        world.reliefs.append(proposed | {"version": 2, "status": status, "known_at": decided_at})
        if status == "granted" and decided_at + timedelta(hours=1) < starts_at and dice.random() < 0.5:
            world.reliefs.append(
                proposed | {"version": 3, "status": "rejected", "known_at": decided_at + timedelta(hours=1)}
            )


def _reports(world: World, key: str, due: datetime, dice: Random) -> None:
    received = due - timedelta(days=dice.randrange(12), seconds=dice.randrange(90_000))
    numbers = list(range(1, dice.choice((0, 1, 1, 1, 2, 3, 4)) + 1))
    if dice.random() < 0.2:
        dice.shuffle(numbers)  # versions are numbered by one clock and received by another
    for number in numbers:
        received += dice.choice(
            (
                timedelta(seconds=dice.randrange(1, 40_000)),
                dice.randrange(1, 9) * DAY,
                max(due - received, timedelta(0)),
            )
        )
        received += dice.choice((timedelta(0), timedelta(microseconds=1), timedelta(seconds=9)))
        report = {
            "submission_id": str(UUID(int=dice.getrandbits(128), version=4)), "obligation": key, "version": number,
            "officer_id": f"o{number}", "received_at": received, "nil": dice.random() < 0.15,
        }  # fmt: skip
        world.submissions.append(report)
        _steps(world, report, dice)
        _not_judged(world, report)
        for revision in range(1, dice.choice((0, 1, 1, 1, 1, 2, 3)) + 1):
            required = 0 if report["nil"] else dice.randrange(8)
            world.verdicts.append(
                {
                    "submission_id": report["submission_id"], "obligation": key, "revision": revision,
                    "outcome": dice.choice(("accepted", "accepted", "returned")), "required_items": required,
                    "present_items": dice.randint(0, required),
                    "decided_at": received + timedelta(seconds=dice.choice((2, 700, 300_000)) * revision),
                }
            )  # fmt: skip


def _not_judged(world: World, report: Data) -> None:
    """Of some reports validation says that it cannot judge them, of some of these late, or once more."""
    dice = Random(f"not judged {report['submission_id']}")
    for _ in range(dice.choice((0, 0, 0, 0, 1, 2))):
        waited = timedelta(seconds=dice.choice((5, 3_000, 200_000, 900_000)))
        world.verdicts.append(
            {
                "submission_id": report["submission_id"], "obligation": report["obligation"], "revision": 1,
                "outcome": "not_judged", "decided_at": report["received_at"] + waited,
            }
        )  # fmt: skip


def _steps(world: World, report: Data, dice: Random) -> None:
    """What people do with a report after it has come, also what intake would refuse."""
    at = report["received_at"]
    kinds = ("certified", "certified", "rework", "rework", "approved", "withdrawn", "appeal_upheld", "appeal_dismissed")
    for kind in dice.choices(kinds, k=dice.choice((0, 0, 1, 1, 2, 3))):
        at += timedelta(seconds=dice.choice((1, 3_000, 90_000, 700_000)))
        step: Data = {
            "step_id": str(UUID(int=dice.getrandbits(128), version=4)), "obligation": report["obligation"],
            "submission_id": report["submission_id"], "kind": kind, "at": at,
        }  # fmt: skip
        if kind == "rework" and dice.random() < 0.6:
            step["until"] = at + timedelta(days=dice.randrange(1, 12), seconds=dice.randrange(3_000))
        if kind == "appeal_upheld":
            step["effect"] = dice.choice(("accepted", None))
        world.steps.append(step)


def _sweeps(world: World, dues: list[datetime], begin: datetime, dice: Random) -> None:
    """Once a day, and about the deadlines; the last one lies behind everything."""
    last = (
        max(
            [
                *dues,
                *(verdict["decided_at"] for verdict in world.verdicts),
                *(step["at"] for step in world.steps),
                begin + 420 * DAY,
            ]
        )
        + 90 * DAY
    )
    daily = {begin + number * DAY + timedelta(seconds=31) for number in range((last - begin).days)}
    about = {due + timedelta(seconds=dice.randrange(1, 30)) for due in dues} | set(dues)
    world.sweeps = sorted(daily | about)


def _about_due(world: World, key: str, begin: datetime) -> datetime | None:
    """About when it is due, so that what happens, happens about then."""
    plan = Product(world, [key])._plan(key, begin)
    return None if plan is None else plan[0].deadline


# --- the product ---------------------------------------------------------------------------------------------------


@dataclass
class Product:
    """The product's rules over a world, step by step in the order of its moments."""

    world: World
    keys: list[str]
    obligations: dict[str, Obligation] = field(default_factory=dict)
    regrouped_at: datetime | None = None
    #: whether it is asked of the agency as things are known
    asked: dict[str, bool] = field(default_factory=dict)

    def run(self, moments: list[datetime]) -> Iterator[tuple[datetime, dict[str, Obligation]]]:
        """At each of the moments: everything as it stands."""
        wanted = set(moments)
        steps: list[tuple[datetime, int, Any]] = [(sweep, 9, None) for sweep in self.world.sweeps or ()]
        loaded = (
            *self.world.calendars, *self.world.policies, *self.world.agencies, *self.world.regimes, *self.world.requests
        )  # fmt: skip
        steps += [(record["known_at"], 1, None) for record in loaded]
        steps += [(record["known_at"], 2, record) for record in self.world.reliefs]
        steps += [(report["received_at"], 3, report) for report in self.world.submissions]
        steps += [(verdict["decided_at"], 4, verdict) for verdict in self.world.verdicts]
        steps += [(step["at"], 5, step) for step in self.world.steps]
        for at, kind, record in sorted(steps, key=lambda step: (step[0], step[1], str(step[2]))):
            match kind:
                case 1:
                    self._regroup(at)
                    self._replan(at)
                case 2:
                    self._relieve(record, at)
                case 3 | 4 | 5:
                    self._report(record, at)
                case _:
                    self._sweep(at)
                    if at in wanted:
                        yield at, dict(self.obligations)

    def _known(self, records: list[Data], at: datetime, *identity: str) -> list[Data]:
        newest = {tuple(record[part] for part in identity): record for record in records if record["known_at"] <= at}
        return list(newest.values())

    def _calendar(self, version: str) -> WorkingCalendar:
        return _calendars(next(calendar for calendar in self.world.calendars if calendar["version"] == version))

    def _book(self, at: datetime) -> PolicyBook:
        return PolicyBook(tuple(_policies(policy) for policy in self._known(self.world.policies, at, "version")))

    def _plan(self, key: str, at: datetime) -> tuple[Terms, datetime] | None:
        """The terms by what is known, and the hour before which no deadline moves earlier."""
        agency, _, name = key.split("/")
        versions = [_regimes(record) for record in self._known(self.world.regimes, at, "regime_version")]
        requests = [
            deadlines.Request(
                record["request_id"],
                record["regime"],
                record["issued_at"],
                record["deadline"],
                (),
                record.get("withdrawn_at"),
            )
            for record in self._known(self.world.requests, at, "request_id")
        ]
        period: Period = parse(name)
        request = next((request for request in requests if request.request_id == name), None)
        if request is not None and request.withdrawn_at is not None:
            return self._withdrawn(key, request.withdrawn_at, at)
        window = window_of(versions, period, request)
        if isinstance(window, NoWindow):
            return None
        calendar = self._calendar(self._known(self.world.calendars, at, "version")[-1]["version"])
        known = {record["code"]: record for record in self._known(self.world.agencies, at, "code")}
        record, tree = known[agency], Tree({code: _above(record) for code, record in known.items()})
        life = deadlines.Agency(agency, record["kind"], record["opened_on"], record["closed_on"], self.regrouped_at)
        if request is not None:
            plan = deadlines.plan_request(window.governing, request, calendar)
        else:
            override = deadlines.override_of(life, window.governing, tree, window.last)
            plan = deadlines.plan_period(window.governing, period, calendar, override)
        book = self._book(at)
        terms = terms_of(plan, book.governing(plan.due_on).version)
        owed = deadlines.owes(life, window.governing, plan, tree, request)
        self.asked[key] = addressing.asked_on(life, window.governing, (), tree, plan.exists_from)
        days = book.version(terms.policy_version).notice_working_days
        return replace(terms, owed=owed), deadlines.notice_until(at, days, calendar)

    def _withdrawn(self, key: str, withdrawn_at: datetime, at: datetime) -> tuple[Terms, datetime] | None:
        """As withdrawals.py: the terms stay, but for the withdrawal."""
        before = self.obligations.get(key)
        return None if before is None else (replace(before.terms, withdrawn_at=withdrawn_at), at)

    def _settle(self, key: str, terms: Terms, known: facts.Facts, at: datetime) -> None:
        before = self.obligations[key]
        policy = self._book(at).version(terms.policy_version)
        calendar = self._calendar(terms.calendar_version)
        self.obligations[key] = settle(before, terms, known, policy, calendar, Cause(at, _ID)).obligation

    def _replan(self, at: datetime) -> None:
        for key in self.keys:
            planned = self._plan(key, at)
            if planned is None:
                continue
            terms, notice = planned
            before = self.obligations.get(key)
            if terms.owed and self.regrouped_at is not None and (before is None or not before.terms.owed):
                terms = self._noticed(terms, at)
            if before is None:
                self.obligations[key] = Obligation(key, 1, terms, NOTHING, untouched(terms))
                for record in self._known(self.world.reliefs, at, "relief_id"):  # as `apply_again` of reliefs/store.py
                    self._relieve(record, at)
            else:
                if before.terms.owed and self._stays(before):
                    terms = replace(terms, owed=True)
                kept = self._book(at).governing(before.terms.deadline.astimezone(LOCAL_ZONE).date()).version
                self._settle(key, follow_plan(before, terms, notice, kept), before.facts, at)

    def _regroup(self, at: datetime) -> None:
        """As `save_agencies` of services/scoring/registry.py."""
        before = {record["code"]: record for record in self._known(self.world.agencies, at - _MOMENT, "code")}
        known = {record["code"]: record for record in self._known(self.world.agencies, at, "code")}
        above = Tree({code: _above(record) for code, record in known.items()}).ever_above(AGENCY)
        for code, names in (
            (AGENCY, ("parent", "parents", "kind")),
            *((code, ("parent", "parents")) for code in above),
        ):
            if code in before and any(known[code].get(name) != before[code].get(name) for name in names):
                self.regrouped_at = at

    def _noticed(self, terms: Terms, at: datetime) -> Terms:
        """As `_with_notice` of the generator."""
        assert self.regrouped_at is not None
        days = self._book(at).version(terms.policy_version).notice_working_days
        until = deadlines.notice_until(self.regrouped_at, days, self._calendar(terms.calendar_version))
        return terms.due_at(max(terms.deadline, until))

    def _stays(self, before: Obligation) -> bool:
        """As `_UNANSWERED` of services/scoring/obligations/store.py."""
        unanswered = before.state.standing in ("nothing_sent", "returned")
        return self.asked[before.key] or not (
            unanswered and self.regrouped_at is not None and before.terms.deadline > self.regrouped_at
        )

    def _relieve(self, record: Data, at: datetime) -> None:
        relief = Relief(
            record["relief_id"], record["starts_at"], record["ends_at"], record["status"], record["hold_until"],
            record["version"],
        )  # fmt: skip
        scoped = ScopedRelief(relief, tuple(record["agencies"]), tuple(record["regimes"]), tuple(record["obligations"]))
        for key, before in self.obligations.items():
            if scoped.covers(key):
                self._settle(key, before.terms, facts.with_relief(before.facts, relief), at)

    def _report(self, record: Data, at: datetime) -> None:
        key = record["obligation"]
        if key not in self.obligations:
            return
        before = self.obligations[key]
        self._settle(key, before.terms, domain.with_reports(before.facts, [(_ID, _event(self.world, record))]), at)
        after = self.obligations[key]
        if after.terms.owed and not self._stays(after):
            self._settle(key, replace(after.terms, owed=False), after.facts, at)

    def _sweep(self, at: datetime) -> None:
        for key, before in self.obligations.items():
            if before.state.next_at is None or before.state.next_at > at:
                continue
            if has_passed(before.facts, before.state, at):
                known = facts.with_passing(before.facts, at, self._on_duty(at))
            elif is_due_soon(before.terms, before.facts, before.state, at):
                known = domain.reminded(before, at)
            else:
                continue
            self._settle(key, before.terms, known, at)

    def _on_duty(self, at: datetime) -> str | None:
        """As _READ_OFFICERS of services/scoring/registry.py."""
        able = [
            (record["regimes"] == [], record["officer_id"])
            for record in self._known(self.world.officers, at, "officer_id")
            if record["active"]
            and record["role"] == "reporting_officer"
            and (not record["regimes"] or REGIME in record["regimes"])
        ]
        return min(able)[1] if able else None


_ID = UUID(int=7)
_MOMENT = timedelta(microseconds=1)
_MADE: dict[int, tuple[Data, Any]] = {}


def _once(record: Data, make: Any) -> Any:
    """Made once of each record: many steps ask for the same calendar."""
    found = _MADE.get(id(record))
    if found is None or found[0] is not record:
        found = _MADE[id(record)] = (record, make())
    return found[1]


def _calendars(record: Data) -> WorkingCalendar:
    def make() -> WorkingCalendar:
        return WorkingCalendar(
            record["version"], record["first_year"], record["last_year"],
            days_off=[entry["day"] for entry in record["days"] if not entry["work"]],
            made_up=[entry["day"] for entry in record["days"] if entry["work"]],
        )  # fmt: skip

    made: WorkingCalendar = _once(record, make)
    return made


def _policies(record: Data) -> Policy:
    made: Policy = _once(
        record, lambda: Policy.model_validate({name: value for name, value in record.items() if name != "known_at"})
    )
    return made


def _above(record: Data) -> Parents:
    later = (ParentSince(above["since"], above["code"]) for above in record.get("parents", ()))
    return Parents(record.get("parent"), tuple(later))


def _regimes(record: Data) -> deadlines.Regime:
    made: deadlines.Regime = _once(
        record,
        lambda: deadlines.Regime(
            record["code"], record["regime_version"], record["frequency"], record["effective_from"],
            record["effective_to"], tuple(record["submitter_kinds"]), tuple(record["submitters"]),
            Cutoff(**record["cutoff"]), Deadline(**record["deadline"]), record["remind_working_days"],
            certification=record["certification"], lock_after_working_days=record["lock_after_working_days"],
            submitters_except=tuple(record.get("submitters_except", ())),
            submitter_parents=tuple(record.get("submitter_parents", ())),
            grace_working_days=record["grace_working_days"],
        ),
    )  # fmt: skip
    return made


def _event(world: World, record: Data) -> facts.AboutReport:
    report = record
    if "received_at" not in record:
        report = next(one for one in world.submissions if one["submission_id"] == record["submission_id"])
    agency, regime, period = record["obligation"].split("/")
    common: dict[str, Any] = {
        "submission_id": UUID(report["submission_id"]), "obligation": record["obligation"], "agency": agency,
        "regime": regime, "regime_version": 1, "period": period, "version": report["version"],
        "officer_id": report["officer_id"], "received_at": report["received_at"].astimezone(UTC), "nil": report["nil"],
    }  # fmt: skip
    if "step_id" in record:
        return StepTaken(
            **common, step_id=UUID(record["step_id"]), kind=record["kind"], at=record["at"].astimezone(UTC), by="dice",
            role="reviewer", until=record.get("until"), effect=record.get("effect"),
        )  # fmt: skip
    if "outcome" not in record:
        return SubmissionReceived(**common, sha256="0" * 64)
    if record["outcome"] == "not_judged":
        return NotJudged(
            **common, verdict_id=_ID, revision=1, decided_at=record["decided_at"].astimezone(UTC), findings=()
        )
    return VerdictReached(
        **common, verdict_id=_ID, revision=record["revision"], decided_at=record["decided_at"].astimezone(UTC),
        outcome=record["outcome"], errors=0, warnings=0, required_items=record["required_items"],
        present_items=record["present_items"],
    )  # fmt: skip
