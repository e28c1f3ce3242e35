"""What an obligation must be, from everything that was known: what was loaded, sent, judged and decided, each when."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from decimal import ROUND_HALF_UP, Decimal
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
    for at, news in world.timeline:
        if at > now:
            break
        if news:
            owed_before = owed
            planned, owed = _planned(world, obligation, at)
            if planned is not None and planned != current:
                if current is None or not owed_before:
                    current = planned
                else:
                    current = _moved_to(world, obligation, current, planned, reminded, at)
        if current is not None and owed and not reminded:
            reminded = _reminds(world, obligation, current, at)
    return current, owed


def _moved_to(world: World, obligation: str, old: Owed, new: Owed, reminded: bool, at: datetime) -> Owed:
    """A later deadline always counts; an earlier one where nothing has come, nobody was reminded, and in good time."""
    if new.planned >= old.planned:
        return new
    come = any(moment(report["received_at"]) <= at for report in _reports(world, obligation))
    earliest = _calendar(world, new.calendar).after(at.date(), _policy(world, new.policy)["notice_working_days"])
    if not come and not reminded and new.planned >= datetime.combine(earliest, at.timetz()):
        return new
    # the old one stays, by the calendar that gave it; the policy is that of its day
    return replace(
        old,
        regime_version=new.regime_version,
        remind_at=max(old.remind_at, new.opens_at),
        policy=_governing_policy(world, old.planned.date(), at) or old.policy,
    )


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
    if frequency(period) == "adhoc":
        assert request is not None
        opens = moment(request["issued_at"])
        last, due = opens.date(), moment(request["deadline"])
    else:
        first, last = cutoff(period, governing)
        opens, due = datetime.combine(first, time(), VIETNAM), deadline(period, governing, days)
    policy = _governing_policy(world, due.date(), at)
    if policy is None:
        return None, False
    remind = datetime.combine(days.before(due.date(), governing["remind_working_days"]), time(8), VIETNAM)
    terms = Owed(due, days.version, policy, governing["regime_version"], opens, min(due, max(remind, opens)))
    known = next((record for record in _known(world.agencies, at, "code") if record["code"] == agency), None)
    return terms, known is not None and _asked(known, governing, request, last, due.date())


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


def _asked(agency: Data, regime: Data, request: Data | None, last: date, due: date) -> bool:
    opened, closed = day(agency["opened_on"]), day(agency.get("closed_on"))
    assert opened is not None
    if opened > last or (closed is not None and closed < due):
        return False
    if request is not None and request.get("agencies"):
        return agency["code"] in request["agencies"]
    if agency["code"] in regime.get("submitters", ()):
        return True
    return agency["kind"] in regime.get("submitter_kinds", ()) and agency["code"] not in regime.get(
        "submitters_except", ()
    )


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
    for report in _reports(world, obligation):
        received = moment(report["received_at"])
        outcomes = [
            verdict["outcome"]
            for verdict in sorted(world.verdicts, key=lambda verdict: verdict.get("revision", 1))
            if verdict["submission_id"] == report["submission_id"] and moment(verdict["decided_at"]) <= now
        ]
        if received <= now and received.date() <= last and outcomes[-1:] in ([], ["accepted"]):
            return True
    return False


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
                return replace(terms, planned=max(terms.planned, datetime.combine(earliest, heard.timetz())))
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


def _standing(world: World, obligation: str, terms: Owed, owed: bool, now: datetime) -> Judged:
    policy, days = _policy(world, terms.policy), _calendar(world, terms.calendar)
    due, spans, _ = _moved(world, obligation, terms.planned, now)
    verdicts: dict[str, Data] = {}
    for verdict in sorted(world.verdicts, key=lambda verdict: verdict.get("revision", 1)):
        if moment(verdict["decided_at"]) <= now:
            verdicts[verdict["submission_id"]] = verdict
    reports = [
        (report, verdicts.get(report["submission_id"]), moment(report["received_at"]) <= due)
        for report in _reports(world, obligation)
        if moment(report["received_at"]) <= now
    ]
    accepted = [entry for entry in reports if entry[1] is not None and entry[1]["outcome"] == "accepted"]
    figures = [entry for entry in accepted if not entry[0].get("nil", False)]
    counting = figures or accepted
    answer = counting[0] if counting else None
    standing = "fulfilled" if answer else "nothing_sent"
    if reports and answer is None:
        standing = "awaiting_verdict" if reports[-1][1] is None else "returned"

    looked = [now] if world.sweeps is None else [sweep for sweep in world.sweeps if sweep <= now]
    found_at = next((at for at in looked if at > due and not _held(world, obligation, due, at)), None)
    awaited = any(verdict is None and in_time for _, verdict, in_time in reports)
    overdue = owed and found_at is not None and answer is None and not awaited

    officer = None
    if answer is not None:
        officer = (answer[0]["officer_id"], "named")
    elif overdue and found_at is not None and (on_duty := _on_duty(world, obligation, found_at)):
        officer = (on_duty, "designated")
    elif reports:
        officer = (reports[-1][0]["officer_id"], "named")
    items = None
    lines: list[tuple[str, str, Decimal]] = []
    clauses, timeliness = policy["clauses"], policy["timeliness"]
    if answer is not None:
        full = Decimal(timeliness["full"])
        lines.append(("timeliness", clauses["on_time"], full))
        if not answer[2]:
            begun = max(1, days.begun(due, moment(answer[0]["received_at"]), spans))
            off = min(begun * Decimal(timeliness["off_per_working_day"]), full - Decimal(timeliness["floor"]))
            lines.append(("timeliness", clauses["late"], -off))
        in_time = [entry for entry in counting if entry[2]]
        whole = (in_time[-1] if in_time else counting[0])[1]
        assert whole is not None
        items = (whole["present_items"], whole["required_items"])
        lines.append(("completeness", clauses["complete"], _share(policy["completeness"], *items)))
    elif overdue:
        lines.append(("timeliness", clauses["overdue"], Decimal(timeliness["overdue"])))
    if not owed:
        lines = []
    return Judged(
        owed, terms.planned, due, terms.calendar, terms.policy, terms.regime_version, standing, overdue,
        answer[0]["version"] if answer else None, answer[2] if answer else None, items, officer, tuple(lines),
        sum((points for _, _, points in lines), Decimal()) if lines else None,
    )  # fmt: skip


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
