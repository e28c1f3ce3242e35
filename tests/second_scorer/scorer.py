"""What an obligation must be, from everything that was known: what was loaded, sent, judged and decided, each when."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import cached_property

from tests.second_scorer.days import VIETNAM, Calendar, Data, cutoff, day, deadline, frequency, moment

#: of a record that does not say since when it is known
EVER = datetime(1900, 1, 1, tzinfo=VIETNAM)


@dataclass
class World:
    """Plain data. Everything but reports and verdicts says in `known_at` when it became known.

    `sweeps`: when the deadlines were looked at; None: at every moment.
    """

    calendars: list[Data] = field(default_factory=list)
    policies: list[Data] = field(default_factory=list)
    agencies: list[Data] = field(default_factory=list)
    officers: list[Data] = field(default_factory=list)
    regimes: list[Data] = field(default_factory=list)
    requests: list[Data] = field(default_factory=list)
    reliefs: list[Data] = field(default_factory=list)  # each decision a record of its own, with `version`
    submissions: list[Data] = field(default_factory=list)
    verdicts: list[Data] = field(default_factory=list)
    steps: list[Data] = field(default_factory=list)  # what people did with a report
    sweeps: list[datetime] | None = None

    @cached_property
    def timeline(self) -> list[tuple[datetime, bool]]:
        """Every moment that may move a deadline or remind somebody, and whether something was loaded then."""
        loaded = (*self.calendars, *self.policies, *self.agencies, *self.regimes, *self.requests)
        known = {moment(record.get("known_at", EVER)) for record in loaded}
        return [(at, at in known) for at in sorted(known | set(self.sweeps or ()))]


@dataclass(frozen=True)
class Owed:
    """By when, and by which calendar and policy."""

    planned: datetime
    calendar: str
    policy: str
    regime_version: int
    opens_at: datetime
    remind_at: datetime
    certify: bool
    locked: datetime | None
    patient: datetime | None  # until when a late report is not called overdue


@dataclass(frozen=True)
class Report:
    """One version of a report, as it is known at a moment, by what became of it."""

    number: int
    officer: str
    nil: bool
    received: datetime
    verdict: Data | None
    steps: tuple[Data, ...]
    unable: bool = False  # validation said that it could not judge it

    @property
    def waits(self) -> bool:
        """It stands and has no verdict, which is not its agency's doing."""
        return self.unable and self.verdict is None and self.withdrawn is None

    def first(self, kind: str) -> datetime | None:
        return min((moment(step["at"]) for step in self.steps if step["kind"] == kind), default=None)

    @property
    def passed(self) -> bool:
        """Validated, or accepted upon an appeal."""
        if self.verdict is None:
            return False
        upheld = any(step["kind"] == "appeal_upheld" and step.get("effect") == "accepted" for step in self.steps)
        return upheld or self.verdict["outcome"] == "accepted"

    @property
    def sent_back(self) -> Data | None:
        """The reviewer's last word, where that is to do it again."""
        words = [step for step in self.steps if step["kind"] in ("approved", "rework")]
        last = max(words, key=lambda step: moment(step["at"]), default=None)
        return last if last is not None and last["kind"] == "rework" else None

    @property
    def withdrawn(self) -> datetime | None:
        return self.first("withdrawn")

    @property
    def stands(self) -> bool:
        return self.passed and self.withdrawn is None and self.sent_back is None


@dataclass(frozen=True)
class Judged:
    """How an obligation must stand."""

    owed: bool
    planned: datetime
    deadline: datetime
    calendar: str
    policy: str
    regime_version: int
    standing: str
    overdue: bool
    answer: int | None
    on_time: bool | None
    items: tuple[int, int] | None  # present, required
    officer: tuple[str, str] | None  # who, and how that was determined
    lines: tuple[tuple[str, str, Decimal], ...]  # in force: component, clause, points
    score: Decimal | None


def judge(world: World, obligation: str, now: datetime) -> Judged | None:
    """The obligation as it stands at `now`; None if there is none."""
    terms, owed = _terms(world, obligation, now)
    if not owed:
        owed = _sent_before_it_closed(world, obligation, now)
    if not owed and (inherited := _inherited(world, obligation, now)) is not None:
        terms, owed = inherited, True
    return None if terms is None else _standing(world, obligation, terms, owed, now)


# --- terms ---------------------------------------------------------------------------------------------------------


def _known(records: list[Data], at: datetime, *identity: str) -> list[Data]:
    """The newest version of each record known at a moment."""
    newest: dict[tuple[object, ...], Data] = {}
    for record in records:
        if "known_at" in record and moment(record["known_at"]) > at:
            continue
        name = tuple(record[part] for part in identity)
        if name not in newest or record.get("version", 0) >= newest[name].get("version", 0):
            newest[name] = record
    return list(newest.values())


def _terms(world: World, obligation: str, now: datetime) -> tuple[Owed | None, bool]:
    """The terms after everything that moved them, in the order in which it became known, and whether it is owed."""
    current: Owed | None = None
    owed = reminded = False
    left: datetime | None = None  # since when it is not asked of the agency, which owes it for what it had sent
    for at, news in world.timeline:
        if at > now:
            break
        if left is not None and current is not None and _falls(world, obligation, current, left, at):
            owed, left = False, None
        if news and _taken_back(world, obligation, at) is None:
            owed_before = owed
            planned, owed = _planned(world, obligation, at)
            heard = _heard_of_another_group(world, obligation.split("/")[0], at)
            if owed:
                left = None
            elif owed_before and planned is not None and current is not None and heard is not None:
                if _closed_by(world, obligation.split("/")[0], planned.planned.date(), at):
                    left = None
                elif current.planned <= heard:
                    owed = True  # it was due by then
                else:
                    left, owed = left or at, True
            if owed and not owed_before and heard is not None and planned is not None:
                if planned.planned <= heard:
                    owed = False  # it was due before the agency came to the group
                else:
                    planned = _with_notice(world, planned, heard)
            if planned is not None and planned != current:
                if current is None or not owed_before:
                    current = planned
                else:
                    current = _moved_to(world, obligation, current, planned, reminded, at)
        if current is not None and owed and not reminded:
            reminded = _reminds(world, obligation, current, at)
    if left is not None and current is not None and _falls(world, obligation, current, left, now):
        owed = False
    return current, owed


def _with_notice(world: World, terms: Owed, heard: datetime) -> Owed:
    """Not due before the working days of notice are over."""
    days = _calendar(world, terms.calendar)
    earliest = days.after(heard.date(), _policy(world, terms.policy)["notice_working_days"])
    due = max(terms.planned, datetime.combine(earliest, heard.timetz()))
    return _due_at(terms, due)


def _due_at(terms: Owed, due: datetime) -> Owed:
    """Due at another moment; lock and grace stay as long after it."""
    return replace(
        terms,
        planned=due,
        locked=_with_it(terms.locked, terms.planned, due),
        patient=_with_it(terms.patient, terms.planned, due),
    )


def _with_it(hour: datetime | None, planned: datetime, due: datetime) -> datetime | None:
    """What lies so long after a deadline stays as long after another one."""
    return None if hour is None else hour + (due - planned)


def _falls(world: World, obligation: str, terms: Owed, since: datetime, until: datetime) -> bool:
    """Whether at some moment nothing was left of what had been sent: neither accepted nor awaiting a verdict."""
    happened = [
        *(report["received_at"] for report in _reports(world, obligation)),
        *(verdict["decided_at"] for verdict in world.verdicts if verdict["obligation"] == obligation),
        *(step["at"] for step in world.steps if step["obligation"] == obligation),
    ]
    moments = {since, *(at for at in map(moment, happened) if since < at <= until)}
    for at in sorted(moments):
        by = terms.planned
        reports = Reports(_known_reports(world, obligation, at), by, terms.certify, by, by)
        live = [report for report in reports.known if report.withdrawn is None]
        waits = live and (live[-1].verdict is None or live[-1].stands or any(report.waits for report in live))
        if not reports.answering and not waits:
            return True
    return False


def _closed_by(world: World, agency: str, due: date, at: datetime) -> bool:
    closing = _closing(world, agency, at)
    last = None if closing is None else day(closing["closed_on"])
    return last is not None and last < due


def _heard_of_another_group(world: World, agency: str, at: datetime) -> datetime | None:
    """When it was last heard that the agency is of another kind, or that others stand above it or one above it."""
    heard, before = None, None
    for moment_of in sorted({moment(record.get("known_at", EVER)) for record in world.agencies}):
        if moment_of > at:
            break
        known = {record["code"]: record for record in _known(world.agencies, moment_of, "code")}
        if agency not in known:
            continue
        ahead, groups = [agency], {agency: (known[agency]["kind"], *_parents_of(known[agency]))}
        while ahead:
            for _, parent in _parents_of(known.get(ahead.pop(), {})):
                if parent in known and parent not in groups:
                    groups[parent] = tuple(_parents_of(known[parent]))
                    ahead.append(parent)
        if before is not None and any(groups.get(code, group) != group for code, group in before.items()):
            heard = moment_of
        before = groups
    return heard


def _parents_of(agency: Data) -> list[tuple[date, str]]:
    """Who stands above it, each from a day on."""
    first = [(date.min, agency["parent"])] if agency.get("parent") else []
    return first + [(day(later["since"]) or date.min, later["code"]) for later in agency.get("parents", ())]


def _override(agency: Data | None, above: list[str], regime: Data) -> Data | None:
    """Whose deadline it is: the agency's own, else that of the nearest parent that has one, else that of its kind."""
    if agency is None:
        return None
    overrides: list[Data] = regime["deadline"].get("overrides", [])
    wanted = [("agencies", agency["code"]), *(("parents", parent) for parent in above), ("kinds", agency["kind"])]
    for group, name in wanted:
        for override in overrides:
            if name in override.get(group, ()):
                return override
    return None


def _above(agencies: list[Data], code: str, on: date) -> list[str]:
    """Everybody above an agency on a day."""
    known = {record["code"]: record for record in agencies}
    found: list[str] = []
    while code in known:
        parents = [parent for since, parent in _parents_of(known[code]) if since <= on]
        if not parents or parents[-1] in found:
            break
        code = parents[-1]
        found.append(code)
    return found


def _moved_to(world: World, obligation: str, old: Owed, new: Owed, reminded: bool, at: datetime) -> Owed:
    """What is better always counts; what is worse where nothing has come, nobody was reminded, and in good time."""
    if not _worse(old, new):
        return new
    come = any(moment(report["received_at"]) <= at for report in _reports(world, obligation))
    earliest = _calendar(world, new.calendar).after(at.date(), _policy(world, new.policy)["notice_working_days"])
    if not come and not reminded and new.planned >= datetime.combine(earliest, at.timetz()):
        return new
    kept = replace(new, certify=old.certify and new.certify, locked=_last(old.locked, new.locked))
    if new.planned < old.planned:
        # the old one stays, by the calendar that gave it; the policy is that of its day
        kept = replace(
            kept,
            planned=old.planned,
            calendar=old.calendar,
            remind_at=max(old.remind_at, new.opens_at),
            policy=_governing_policy(world, old.planned.date(), at) or old.policy,
        )
    patient = max(old.patient or kept.planned, new.patient or kept.planned)
    return replace(kept, patient=patient if patient > kept.planned else None)


def _worse(old: Owed, new: Owed) -> bool:
    """Due earlier, overdue earlier, locked earlier, or to be signed where it was not."""
    return (
        new.planned < old.planned
        or (new.patient or new.planned) < (old.patient or old.planned)
        or _last(old.locked, new.locked) != new.locked
        or (new.certify and not old.certify)
    )


def _last(old: datetime | None, new: datetime | None) -> datetime | None:
    """The later of two locks; no lock is later than any."""
    return None if old is None or new is None else max(old, new)


def _reminds(world: World, obligation: str, terms: Owed, at: datetime) -> bool:
    """Whether somebody who has sent nothing is reminded at this moment."""
    if at < terms.remind_at:
        return False
    due, _, holds = _moved(world, obligation, terms.planned, at)
    return at < due and not holds


def _planned(world: World, obligation: str, at: datetime) -> tuple[Owed | None, bool]:
    """By what is known at a moment: the terms, and whether the agency is asked for it."""
    agency, regime, period = obligation.split("/")
    calendars = _known(world.calendars, at, "version")
    if not calendars:
        return None, False
    days = Calendar(max(calendars, key=lambda record: record["revision"]))
    versions = [record for record in _known(world.regimes, at, "code", "regime_version") if record["code"] == regime]
    request = next(
        (record for record in _known(world.requests, at, "request_id") if record["request_id"] == period), None
    )
    governing = _governing(versions, period, request)
    if governing is None:
        return None, False
    agencies = _known(world.agencies, at, "code")
    known = next((record for record in agencies if record["code"] == agency), None)
    if frequency(period) == "adhoc":
        assert request is not None
        opens = moment(request["issued_at"])
        last, due = opens.date(), moment(request["deadline"])
        above = _above(agencies, agency, last)
    else:
        first, last = cutoff(period, governing)
        above = _above(agencies, agency, last)
        opens = datetime.combine(first, time(), VIETNAM)
        due = deadline(period, governing, days, _override(known, above, governing))
    policy = _governing_policy(world, due.date(), at)
    if policy is None:
        return None, False
    remind = datetime.combine(days.before(due.date(), governing["remind_working_days"]), time(8), VIETNAM)
    lock, grace = governing.get("lock_after_working_days"), governing.get("grace_working_days")
    terms = Owed(
        due, days.version, policy, governing["regime_version"], opens, min(due, max(remind, opens)),
        governing.get("certification", "none") == "head",
        None if lock is None else datetime.combine(days.after(due.date(), lock), due.timetz()),
        None if grace is None else datetime.combine(days.after(due.date(), grace), due.timetz()),
    )  # fmt: skip
    return terms, known is not None and _asked(known, above, governing, request, last, due.date())


def _governing_policy(world: World, on: date, at: datetime) -> str | None:
    """The latest policy, of those known, that is in force on a day; before the first one, the first."""
    known = sorted(_known(world.policies, at, "version"), key=_from)
    in_force = [record for record in known if _from(record) <= on] or known[:1]
    return in_force[-1]["version"] if in_force else None


def _governing(versions: list[Data], period: str, request: Data | None) -> Data | None:
    """The latest version in force on the cut-off's last day, or on the day of issue; an older one never revives."""
    if frequency(period) == "adhoc":
        if request is None:
            return None
        on = moment(request["issued_at"]).date()
        versions = [version for version in versions if _from(version) <= on and version["code"] == request["regime"]]
        if not versions:
            return None
        latest = max(versions, key=lambda version: (_from(version), version["regime_version"]))
        return latest if latest["frequency"] == "adhoc" and not _ended(latest, on) else None
    versions = [version for version in versions if _from(version) <= cutoff(period, version)[1]]
    if not versions:
        return None
    latest = max(versions, key=lambda version: (_from(version), version["regime_version"]))
    if latest["frequency"] != frequency(period):
        return None
    return None if _ended(latest, cutoff(period, latest)[1]) else latest


def _from(version: Data) -> date:
    on = day(version["effective_from"])
    assert on is not None
    return on


def _ended(version: Data, on: date) -> bool:
    ends = day(version.get("effective_to"))
    return ends is not None and ends < on


def _asked(agency: Data, above: list[str], regime: Data, request: Data | None, last: date, due: date) -> bool:
    opened, closed = day(agency["opened_on"]), day(agency.get("closed_on"))
    assert opened is not None
    if opened > last or (closed is not None and closed < due):
        return False
    if request is not None and request.get("agencies"):
        return agency["code"] in request["agencies"]
    if agency["code"] in regime.get("submitters", ()):
        return True
    kinds, parents = regime.get("submitter_kinds", ()), regime.get("submitter_parents", ())
    if agency["code"] in regime.get("submitters_except", ()) or not (kinds or parents):
        return False
    return (not kinds or agency["kind"] in kinds) and (not parents or not set(parents).isdisjoint(above))


# --- agencies that close -------------------------------------------------------------------------------------------


def _closing(world: World, agency: str, at: datetime) -> Data | None:
    """The agency's record, if it names a last day."""
    record = next((record for record in _known(world.agencies, at, "code") if record["code"] == agency), None)
    return record if record is not None and record.get("closed_on") else None


def _open_when_it_closes(world: World, obligation: str, at: datetime) -> Owed | None:
    """The terms of what an agency that closes would owe after its last day."""
    agency = obligation.split("/")[0]
    closing = _closing(world, agency, at)
    if closing is None:
        return None
    lives_on = [record | {"closed_on": None} if record["code"] == agency else record for record in world.agencies]
    terms, asked = _terms(replace(world, agencies=lives_on), obligation, at)
    last = day(closing["closed_on"])
    assert last is not None
    return terms if terms is not None and asked and last < terms.planned.date() else None


def _sent_before_it_closed(world: World, obligation: str, now: datetime) -> bool:
    """Whether a report of before the last day answers it, or may still."""
    closing = _closing(world, obligation.split("/")[0], now)
    if closing is None or _open_when_it_closes(world, obligation, now) is None:
        return False
    last = day(closing["closed_on"])
    assert last is not None
    return any(
        report.received.date() <= last and (report.stands or (report.verdict is None and report.withdrawn is None))
        for report in _known_reports(world, obligation, now)
    )


def _hands_on_to(world: World, obligation: str, terms: Owed, at: datetime) -> str | None:
    """The heir of what was open on an agency's last day; None where the record lets it fall."""
    closing = _closing(world, obligation.split("/")[0], at)
    if closing is None or closing.get("open_obligations") != "transfer" or not closing.get("successors"):
        return None
    last = day(closing["closed_on"])
    assert last is not None
    return str(closing["successors"][0]) if terms.opens_at.date() <= last < terms.planned.date() else None


def _ends_before(world: World, agency: str, terms: Owed, at: datetime) -> bool:
    """Whether the agency's last day lies before the deadline."""
    closing = _closing(world, agency, at)
    last = None if closing is None else day(closing["closed_on"])
    return last is not None and last < terms.planned.date()


def _inherited(world: World, obligation: str, now: datetime) -> Owed | None:
    """The terms of what this agency owes in the place of one that closed; at short notice not before it has notice."""
    heir, regime, period = obligation.split("/")
    for record in sorted(_known(world.agencies, now, "code"), key=lambda record: str(record["code"])):
        first = f"{record['code']}/{regime}/{period}"
        terms = _open_when_it_closes(world, first, now)
        if terms is None or _sent_before_it_closed(world, first, now):
            continue
        place, closings = first, [record]
        while (successor := _hands_on_to(world, place, terms, now)) is not None and len(closings) < 20:
            place = f"{successor}/{regime}/{period}"
            if successor == heir:
                if _ends_before(world, heir, terms, now):
                    break  # it has handed it on, or it fell
                heard = max(moment(closing.get("known_at", EVER)) for closing in closings)
                notice = _policy(world, terms.policy)["notice_working_days"]
                earliest = _calendar(world, terms.calendar).after(heard.date(), notice)
                return _due_at(terms, max(terms.planned, datetime.combine(earliest, heard.timetz())))
            if _terms(world, place, now)[1] or (closes := _closing(world, successor, now)) is None:
                break  # its own report answers for both
            closings.append(closes)
    return None


def _calendar(world: World, version: str) -> Calendar:
    return Calendar(next(record for record in world.calendars if record["version"] == version))


def _policy(world: World, version: str) -> Data:
    return next(record for record in world.policies if record["version"] == version)


# --- reliefs -------------------------------------------------------------------------------------------------------


def _moved(
    world: World, obligation: str, planned: datetime, now: datetime
) -> tuple[datetime, list[tuple[datetime, datetime]], list[datetime]]:
    """The deadline with every relief granted, the granted spans, and until when proposed ones hold a mark back."""
    agency, regime, _ = obligation.split("/")
    granted, proposed = [], []
    for relief in _known(world.reliefs, now, "relief_id"):
        scopes = ((relief["agencies"], agency), (relief["regimes"], regime), (relief["obligations"], obligation))
        if all(not scope or name in scope for scope, name in scopes):
            span = (moment(relief["starts_at"]), moment(relief["ends_at"]))
            if relief["status"] == "granted":
                granted.append(span)
            elif relief["status"] == "proposed":
                proposed.append((span, moment(relief["hold_until"])))
    due, moving = planned, True
    while moving:
        later = [end for start, end in granted if start <= due < end]
        moving = bool(later)
        due = max(later, default=due)
    return due, granted, [hold for (start, end), hold in proposed if start <= due <= end]


def _held(world: World, obligation: str, due: datetime, at: datetime) -> bool:
    """Whether a relief proposed by then kept everybody of this deadline from being called overdue."""
    return any(at <= hold for hold in _moved(world, obligation, due, at)[2])


# --- facts ---------------------------------------------------------------------------------------------------------


def _reports(world: World, obligation: str) -> list[Data]:
    """The versions in the order of their receipt."""
    reports = [report for report in world.submissions if report["obligation"] == obligation]
    return sorted(reports, key=lambda report: (moment(report["received_at"]), report["version"]))


def _known_reports(world: World, obligation: str, now: datetime) -> list[Report]:
    """The versions received by a moment, in that order, with what had become of each."""
    verdicts: dict[str, Data] = {}
    firsts: set[str] = set()
    unable = set()
    for verdict in sorted(world.verdicts, key=_order_of_verdicts):
        if moment(verdict["decided_at"]) > now:
            continue
        if verdict["outcome"] == "not_judged":
            unable.add(verdict["submission_id"])
        elif verdict.get("revision", 1) > 1 or verdict["submission_id"] not in firsts:
            verdicts[verdict["submission_id"]] = verdict
            firsts.add(verdict["submission_id"])
    steps: dict[str, list[Data]] = {}
    for step in world.steps:
        if step.get("submission_id") and moment(step["at"]) <= now:  # others are about the obligation alone
            steps.setdefault(step["submission_id"], []).append(step)
    return [
        Report(
            report["version"], report["officer_id"], report.get("nil", False), moment(report["received_at"]),
            verdicts.get(report["submission_id"]), tuple(steps.get(report["submission_id"], ())),
            report["submission_id"] in unable,
        )
        for report in _reports(world, obligation)
        if moment(report["received_at"]) <= now
    ]  # fmt: skip


def _order_of_verdicts(verdict: Data) -> tuple[bool, datetime, int]:
    """First ones, of which the earliest counts; then later revisions by their moments, whoever numbered them."""
    return verdict.get("revision", 1) > 1, moment(verdict["decided_at"]), verdict.get("revision", 1)


@dataclass(frozen=True)
class Reports:
    """The versions of one obligation, against its deadline and the hour until when one may be certified."""

    known: list[Report]
    due: datetime
    certify: bool
    certify_by: datetime
    grace: datetime

    def terms_of(self, report: Report) -> list[tuple[Report, datetime]]:
        """What a reviewer sent back before and this one corrects in the time he gave, with the end of that time."""
        return [
            (earlier, moment(step["until"]))
            for earlier in self.known
            if earlier.withdrawn is None and earlier.received < report.received
            for step in earlier.steps
            if step["kind"] == "rework" and step.get("until")
            and moment(step["at"]) <= report.received <= moment(step["until"])
        ]  # fmt: skip

    def since(self, report: Report) -> datetime:
        """By which receipt it counts: its own, or that of the one that it corrects."""
        return min([report.received, *(self.since(earlier) for earlier, _ in self.terms_of(report))])

    def counts_from(self, report: Report) -> datetime:
        """The hour that decides whether it is on time."""
        certified = report.first("certified")
        if not self.certify or certified is None:
            return self.since(report)
        by = max([self.certify_by, *(until for _, until in self.terms_of(report))])
        return self.since(report) if certified <= by else max(self.since(report), certified)

    def answered_from(self, answer: Report) -> datetime:
        """The same of the obligation: an earlier report that nobody could judge may turn out to be the answer."""
        hours = [self.counts_from(answer)]
        for report in self.known:
            if report.waits and not (report.nil and not answer.nil):
                hours.append(self.since(report))
        return min(hours)

    def signed(self, report: Report) -> bool:
        return not self.certify or report.first("certified") is not None

    def measured(self, reports: list[Report]) -> Report:
        """Whose completeness counts: the last one by the deadline; where there is none, the first after it."""
        in_time = [report for report in reports if self.counts_from(report) <= self.due]
        return in_time[-1] if in_time else min(reports, key=self.counts_from)

    @property
    def answering(self) -> list[Report]:
        return with_figures([report for report in self.known if report.stands and self.signed(report)])

    @property
    def awaited(self) -> bool:
        """Whether something that came in time, or within the grace, has no verdict yet; or could not have one."""
        return any(
            report.withdrawn is None and report.verdict is None
            and (report.unable or self.since(report) <= max(self.due, self.grace))
            for report in self.known
        )  # fmt: skip

    @property
    def is_missing(self) -> bool:
        return not self.answering and not self.awaited

    def bounding(self, answer: Report) -> list[Report]:
        """What counted before the answer came and was withdrawn after the deadline."""
        return [
            report
            for report in self.known
            if report.withdrawn is not None and report.withdrawn > self.due and report.received < answer.received
            and report.passed and report.sent_back is None and self.signed(report)
        ]  # fmt: skip

    @property
    def unsigned(self) -> Report | None:
        """The last one that lacks only its signature."""
        waiting = [report for report in self.known if report.stands and not self.signed(report)]
        return waiting[-1] if waiting else None

    @property
    def patience(self) -> datetime:
        """Until when there is grace, or what came in time may be corrected or signed; the deadline if no later."""
        until = [self.due, self.grace]
        for report in self.known:
            word = report.sent_back
            if report.withdrawn is None and word is not None and word.get("until") and self.since(report) <= self.due:
                until.append(moment(word["until"]))
        waiting = self.unsigned
        if waiting is not None and self.since(waiting) <= self.due:
            until += [self.certify_by, *(end for _, end in self.terms_of(waiting))]
        return max(until)


def with_figures(reports: list[Report]) -> list[Report]:
    """A NIL report counts only while nothing else does."""
    return [report for report in reports if not report.nil] or reports


def _standing(world: World, obligation: str, terms: Owed, owed: bool, now: datetime) -> Judged:
    policy, days = _policy(world, terms.policy), _calendar(world, terms.calendar)
    due, spans, _ = _moved(world, obligation, terms.planned, now)
    locked, patient = _with_it(terms.locked, terms.planned, due), _with_it(terms.patient, terms.planned, due)
    reports = Reports(_known_reports(world, obligation, now), due, terms.certify, locked or due, patient or due)
    counting = reports.answering
    answer = min(counting, key=reports.counts_from) if counting else None
    live = [report for report in reports.known if report.withdrawn is None]
    standing = "fulfilled" if answer else "nothing_sent"
    if live and answer is None:
        waits = live[-1].verdict is None or live[-1].stands or any(report.waits for report in live)
        standing = "awaiting_verdict" if waits else "returned"

    patience = due if answer else reports.patience
    looked = [now] if world.sweeps is None else [sweep for sweep in world.sweeps if sweep <= now]
    missed = None
    if owed and answer is None and not reports.awaited:
        # nobody is called overdue while a verdict is awaited, and what holds the mark back may come meanwhile
        missed = next(
            (
                at for at in looked
                if at > patience and not _held(world, obligation, due, at)
                and replace(reports, known=_known_reports(world, obligation, at)).is_missing
            ),
            None,
        )  # fmt: skip
    overdue = missed is not None

    officer = None
    if answer is not None:
        officer = (answer.officer, "named")
    elif missed is not None and (on_duty := _on_duty(world, obligation, missed)):
        officer = (on_duty, "designated")
    elif live:
        officer = (live[-1].officer, "named")
    items = on_time = None
    lines: list[tuple[str, str, Decimal]] = []
    clauses, timeliness = policy["clauses"], policy["timeliness"]
    if answer is not None:
        counted = reports.answered_from(answer)
        on_time = counted <= due
        full = Decimal(timeliness["full"])
        lines.append(("timeliness", clauses["on_time"], full))
        if not on_time:
            begun = max(1, days.begun(due, counted, spans))
            off = min(begun * Decimal(timeliness["off_per_working_day"]), full - Decimal(timeliness["floor"]))
            forgiving = timeliness.get("off_within_grace")
            if forgiving is not None and patient is not None and counted <= patient:
                lines.append(("timeliness", clauses["grace"], -min(off, Decimal(forgiving))))
            else:
                lines.append(("timeliness", clauses["late"], -off))
        items = _items(reports, counting, answer)
        lines.append(("completeness", clauses["complete"], _share(policy["completeness"], *items)))
    elif overdue:
        lines.append(("timeliness", clauses["overdue"], Decimal(timeliness["overdue"])))
    if owed and (taken_back := _taken_back(world, obligation, now)) is not None:
        # whoever had answered in time keeps what it earned, and what was sent in time may still turn out to answer
        by = min(due, taken_back)
        answered = answer is not None and reports.answered_from(answer) <= by
        awaited = any(report.verdict is None and reports.since(report) <= by for report in live)
        owed = answered or awaited
        if not owed and overdue:
            overdue, officer = False, (live[-1].officer, "named") if live else None
    if not owed:
        lines = []
    return Judged(
        owed, terms.planned, due, terms.calendar, terms.policy, terms.regime_version, standing, overdue,
        answer.number if answer else None, on_time, items, officer, tuple(lines),
        sum((points for _, _, points in lines), Decimal()) if lines else None,
    )  # fmt: skip


def _taken_back(world: World, obligation: str, now: datetime) -> datetime | None:
    """When the request was withdrawn, where it was."""
    _, _, period = obligation.split("/")
    requests = [record for record in _known(world.requests, now, "request_id") if record["request_id"] == period]
    return moment(requests[0]["withdrawn_at"]) if requests and requests[0].get("withdrawn_at") else None


def _items(reports: Reports, counting: list[Report], answer: Report) -> tuple[int, int]:
    """Present and required items of the report that is measured; withdrawing a worse one afterwards gains nothing."""
    whole = _present_of(reports.measured(counting))
    bounding = reports.bounding(answer)
    if not bounding:
        return whole
    both = sorted([*counting, *bounding], key=lambda report: (report.received, report.number))
    before = _present_of(reports.measured(with_figures(both)))
    return min(whole, before, key=lambda items: Fraction(*items) if items[1] else Fraction(1))


def _present_of(report: Report) -> tuple[int, int]:
    assert report.verdict is not None
    return report.verdict["present_items"], report.verdict["required_items"]


def _share(completeness: Data, present: int, required: int) -> Decimal:
    full = Decimal(completeness["full"])
    if not required:
        return full
    step = Decimal(1).scaleb(-int(completeness["fraction_digits"]))
    return (full * present / required).quantize(step, ROUND_HALF_UP)


def _on_duty(world: World, obligation: str, at: datetime) -> str | None:
    agency, regime, _ = obligation.split("/")
    on_duty = [
        (not officer.get("regimes"), officer["officer_id"])  # one named for the regime goes before one for all
        for officer in _known(world.officers, at, "officer_id")
        if officer["agency"] == agency and officer["role"] == "reporting_officer" and officer.get("active", True)
        and (not officer.get("regimes") or regime in officer["regimes"])
    ]  # fmt: skip
    return min(on_duty, default=(True, None))[1]
