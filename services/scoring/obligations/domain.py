"""An obligation: its terms, its facts, how it stands, and every score line ever written about it. Pure.

Whatever happens is a change of terms or facts; `settle` derives the rest anew and says what follows: lines to append
and at most one event, which carries the whole state. Lines are append-only; those in force sum to the score exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from types import MappingProxyType
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from services.scoring.calendar import WorkingCalendar
from services.scoring.obligations import facts as happened
from services.scoring.obligations.facts import AboutReport, Facts, Relief, Reminder, StepOfVersion, Terms, Version
from services.scoring.obligations.standing import Derivation, State, stand
from services.scoring.scores.policy import Due, Policy
from services.scoring.scores.policy.assess import Component
from shared.contract.events import Change, ObligationChanged, ScoreLine

#: bits of a UUIDv8 (RFC 9562): version 8, variant 0b10
_UUID_MASK = ~((0xF << 76) | (0x3 << 62)) & ((1 << 128) - 1)
_UUID_8 = (0x8 << 76) | (0x2 << 62)
_NOTHING = Decimal(0)
_NO_POLICIES: Mapping[str, Policy] = MappingProxyType({})
#: changes of terms or facts that say themselves why a line fell, the weightiest first
_REASONS: dict[Change, tuple[str, str]] = {
    "not_owed": ("không còn phải nộp báo cáo này", "the report is not owed any more"),
    "owed_again": ("lại phải nộp báo cáo này", "the report is owed again"),
    "relief": ("có quyết định về gia hạn, miễn trừ", "a relief was decided"),
    "terms_changed": (
        "thời hạn, lịch làm việc hoặc quy tắc chấm điểm thay đổi",
        "deadline, calendar or policy changed",
    ),
    "overdue_withdrawn": ("báo cáo đã nhận trong hạn, tin đến sau", "a report in time was heard of later"),
}
#: what people did with a report, where it is that which made a line fall
_STEPS: dict[StepOfVersion, tuple[str, str]] = {
    "rework": ("người duyệt trả lại báo cáo để làm lại", "a reviewer sent the report back"),
    "withdrawn": ("cơ quan rút báo cáo", "the agency withdrew the report"),
    "certified": ("báo cáo đã được ký xác nhận", "the report was certified"),
    "approved": ("người duyệt rút lại việc trả báo cáo", "a reviewer took back that the report was sent back"),
    "accepted": ("khiếu nại về kết quả kiểm tra được chấp nhận", "an appeal against the verdict was upheld"),
}
_UNABLE = ("báo cáo đã nhận, hệ thống chưa kiểm tra được", "a report was received that the system could not judge yet")
_ANSWERED = ("đã có báo cáo đạt", "a report was accepted")
_BY_REPORT = ("kết quả kiểm tra báo cáo thay đổi", "the verdict on the report changed")


class Line(Struct, frozen=True, omit_defaults=True):
    """One signed contribution. `reverses` names the line it takes back; neither is in force then."""

    line_id: UUID
    seq: int
    component: Component
    clause: str
    points: Decimal
    cause: str
    cause_en: str
    policy_version: str
    event_id: UUID | None
    created_at: datetime
    reverses: UUID | None = None


class Obligation(Struct, frozen=True):
    """One agency owes one regime for one period by one deadline (nghĩa vụ báo cáo).

    key: agency/regime/period. version: of the newest event about it. lines: all ever written, in their order.
    """

    key: str
    version: int
    terms: Terms
    facts: Facts
    state: State
    lines: tuple[Line, ...] = ()

    @property
    def agency(self) -> str:
        return self.key.split("/", 1)[0]

    @property
    def regime(self) -> str:
        return self.key.split("/", 2)[1]

    @property
    def period(self) -> str:
        return self.key.split("/", 2)[2]

    @property
    def lines_in_force(self) -> tuple[Line, ...]:
        return in_force(self.lines)


class Decision(Struct, frozen=True):
    """What follows from a change: the obligation as it is now, the lines to append, the event to publish."""

    obligation: Obligation
    lines: tuple[Line, ...] = ()
    event: ObligationChanged | None = None
    event_id: UUID | None = None


class Cause(Struct, frozen=True):
    """What a decision stands on: the moment in business time, and the event behind it.

    published_as: the id of the event that the decision publishes, for lines that no event from outside has caused.
    """

    at: datetime
    published_as: UUID
    event_id: UUID | None = None


def settle(
    before: Obligation,
    terms: Terms,
    facts: Facts,
    policy: Policy,
    calendar: WorkingCalendar,
    cause: Cause,
    *,
    opening: bool = False,
    earlier: Mapping[str, Policy] = _NO_POLICIES,
) -> Decision:
    """Derive the obligation anew from terms and facts. Raises CalendarGap.

    An obligation that is not owed and was not before is followed, but neither scored nor published. `opening`: it was
    made in this transaction, so that its first event is this one. `earlier`: policies, by version, of lines that were
    written under another one.
    """
    if terms is before.terms and facts is before.facts and not opening:
        return Decision(before)
    derived = stand(terms, facts, policy, calendar)
    changes = _changes(before, terms, facts, derived.state)
    if opening:
        changes.insert(0, "opened")
    appended = _appended(before, derived, _why(changes, before.facts, facts), policy, cause)
    if appended:
        changes.append("score")
    to_certify = derived.state.uncertified != before.state.uncertified
    published_now = bool(changes or to_certify) and (derived.state.owed or before.state.owed)
    after = Obligation(
        before.key,
        before.version + 1 if published_now and not opening else before.version,
        terms,
        facts,
        derived.state,
        (*before.lines, *appended),
    )
    if not published_now:
        return Decision(after, appended)
    return Decision(
        after,
        appended,
        published(after, tuple(changes), cause.at, {**earlier, policy.version: policy}),
        cause.published_as,
    )


def with_reports(facts: Facts, events: Iterable[tuple[UUID | None, AboutReport]]) -> Facts:
    """The facts with what these events (id, body) say."""
    return told(facts, events)[0]


def told(facts: Facts, events: Iterable[tuple[UUID | None, AboutReport]]) -> tuple[Facts, UUID | None]:
    """The facts with what these events (id, body) say, and the id of the last that said anything new.

    A line that falls names that event: one that repeats what is known, or is older, has caused nothing.
    """
    cause: UUID | None = None
    for event_id, event in events:
        then = happened.with_report(facts, event, event_id)
        if then is not facts:
            facts, cause = then, event_id
    return facts, cause


def reminded(obligation: Obligation, at: datetime) -> Facts:
    """The facts with a reminder of the deadline as it stands."""
    return happened.with_reminder(obligation.facts, Reminder(at, obligation.state.deadline))


def in_force(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Of all lines ever written those that were not taken back and take nothing back."""
    reversed_ids = {line.reverses for line in lines if line.reverses is not None}
    return tuple(line for line in lines if line.reverses is None and line.line_id not in reversed_ids)


def line_id(key: str, seq: int) -> UUID:
    """The id of the seq-th line of an obligation, named by both: a repeated decision writes the same line."""
    digest = blake2b(f"{key}#{seq}".encode(), digest_size=16, person=b"score line").digest()
    return UUID(int=int.from_bytes(digest, "big") & _UUID_MASK | _UUID_8)


def published(
    obligation: Obligation, changes: tuple[Change, ...], at: datetime, policies: Mapping[str, Policy] = _NO_POLICIES
) -> ObligationChanged:
    """The event: the whole state and what changed; with each line, what its clause says in the line's own policy."""
    terms, facts, state = obligation.terms, obligation.facts, obligation.state
    by_number = {version.number: version for version in facts.versions}
    answer = None if state.answer is None else by_number[state.answer]
    measured = None if state.measured is None else by_number[state.measured].verdict
    last = facts.versions[-1] if facts.versions else None
    sent_back = _sent_back(obligation)
    rework = None if sent_back is None else sent_back.rework
    reversed_ids = {line.reverses for line in obligation.lines}
    return ObligationChanged.trusted(
        obligation=obligation.key,
        agency=obligation.agency,
        regime=obligation.regime,
        regime_version=terms.regime_version,
        period=obligation.period,
        version=obligation.version,
        at=at,
        changes=changes,
        owed=state.owed,
        standing=state.standing,
        overdue=state.overdue,
        opens_at=terms.opens_at,
        cutoff_from=terms.cutoff_from,
        cutoff_to=terms.cutoff_to,
        planned_deadline=terms.deadline,
        deadline_override=terms.override or None,
        deadline=state.deadline,
        calendar_version=terms.calendar_version,
        provisional=terms.provisional,
        policy_version=terms.policy_version,
        reliefs=tuple(relief.relief_id for relief in facts.reliefs if _moved(relief, terms, state)),
        reminded_at=None if facts.reminder is None else facts.reminder.at,
        received_version=None if last is None else last.number,
        last_received_at=None if last is None else last.received_at,
        answer_version=state.answer,
        answer_submission_id=None if answer is None else answer.submission_id,
        answer_received_at=None if answer is None else answer.received_at,
        on_time=state.on_time,
        required_items=None if measured is None else measured.required_items,
        present_items=None if measured is None else measured.present_items,
        officer_id=state.officer_id,
        officer_basis=state.officer_basis,
        transferred_from=terms.origins,
        transferred_to=terms.heir,
        locks_at=terms.locked_after(state.deadline),
        grace_until=terms.grace_after(state.deadline),
        rework_version=None if sent_back is None else sent_back.number,
        rework_reason=None if rework is None else rework.reason,
        rework_until=None if rework is None else rework.until,
        certify_version=state.uncertified,
        score=state.score,
        lines=tuple(_line(line, reversed_ids, policies.get(line.policy_version)) for line in obligation.lines),
    )


def _sent_back(obligation: Obligation) -> Version | None:
    """The version by which the obligation stands as returned, where it was a reviewer who returned it."""
    if obligation.state.standing != "returned":
        return None
    version = obligation.facts.latest
    return version if version is not None and version.rework is not None else None


def _changes(before: Obligation, terms: Terms, facts: Facts, now: State) -> list[Change]:
    """What a follower must hear of, in the order of a life."""
    was = before.state
    found: list[Change] = []
    if was.owed and not now.owed:
        found.append("not_owed")
    if now.owed and not was.owed:
        found.append("owed_again")
    if terms is not before.terms and _shown(terms) != _shown(before.terms):
        found.append("terms_changed")
    if facts.reliefs is not before.facts.reliefs and now.deadline != was.deadline:
        found.append("relief")
    if facts.reminder is not before.facts.reminder:
        found.append("due_soon")
    if was.overdue and not now.overdue and now.answer is None:
        found.append("overdue_withdrawn")
    if now.overdue and not was.overdue:
        found.append("overdue")
    if now.standing == "returned" and _returned(facts) != _last_returned(before):
        found.append("returned")
    if now.answer != was.answer or now.on_time != was.on_time:
        found.append("fulfilled" if now.answer is not None else "reopened")
    elif now.standing != was.standing and "returned" not in found and _withdrawn(facts) != _withdrawn(before.facts):
        found.append("reopened")  # what was told to have come does not stand any more
    return found


def _withdrawn(facts: Facts) -> list[int]:
    return [version.number for version in facts.versions if version.withdrawn_at is not None]


def _returned(facts: Facts) -> tuple[int, UUID | None] | None:
    """The latest version that stands, and the reviewer's step that sent it back: None where validation did."""
    version = facts.latest
    if version is None:
        return None
    return version.number, None if version.rework is None else version.rework.step_id


def _last_returned(obligation: Obligation) -> tuple[int, UUID | None] | None:
    return _returned(obligation.facts) if obligation.state.standing == "returned" else None


def _shown(terms: Terms) -> tuple[object, ...]:
    return (
        terms.regime_version, terms.opens_at, terms.deadline, terms.cutoff_from, terms.cutoff_to,
        terms.calendar_version, terms.policy_version, terms.provisional, terms.origins, terms.locks_at, terms.override,
        terms.grace_until,
    )  # fmt: skip


def _why(changes: Sequence[Change], before: Facts, now: Facts) -> tuple[str, str]:
    """Why a line fell, in words: the weightiest of what has changed."""
    named = next((change for change in _REASONS if change in changes), None)
    unable_before, unable_now = _unable(before), _unable(now)
    if unable_now - unable_before and named in (None, "overdue_withdrawn"):
        return _UNABLE
    if named is not None:
        return _REASONS[named]
    known = {step.step_id for version in before.versions for step in version.steps}
    taken = {step.kind for version in now.versions for step in version.steps if step.step_id not in known}
    step = next((_STEPS[kind] for kind in _STEPS if kind in taken), None)
    return step or (_ANSWERED if "fulfilled" in changes and unable_now == unable_before else _BY_REPORT)


def _unable(facts: Facts) -> set[int]:
    return {version.number for version in facts.versions if version.waits_for_us}


def _appended(
    before: Obligation, derived: Derivation, why: tuple[str, str], policy: Policy, cause: Cause
) -> tuple[Line, ...]:
    """The lines that turn those in force into those deserved: reversals of what fell, lines for what came."""
    standing = in_force(before.lines) if before.lines else ()
    deserved = derived.lines
    if len(deserved) == len(standing) and all(
        _same(line, due, policy) for line, (due, _) in zip(standing, deserved, strict=True)
    ):
        return ()
    stays = [line for line in standing if any(_same(line, due, policy) for due, _ in deserved)]
    appended: list[Line] = []
    seq = len(before.lines)
    vi, en = why
    for line in standing:
        if line in stays:
            continue
        seq += 1
        appended.append(
            replace(
                line,
                line_id=line_id(before.key, seq),
                seq=seq,
                points=_NOTHING - line.points,
                cause=f"Hủy dòng {line.seq}: {vi}",
                cause_en=f"Reverses line {line.seq}: {en}",
                event_id=cause.event_id or cause.published_as,
                created_at=cause.at,
                reverses=line.line_id,
            )
        )
    for due, event_id in deserved:
        if any(_same(line, due, policy) for line in stays):
            continue
        seq += 1
        appended.append(
            Line(
                line_id(before.key, seq),
                seq,
                due.component,
                due.clause,
                due.points,
                due.cause,
                due.cause_en,
                policy.version,
                event_id or cause.published_as,
                cause.at,
            )
        )
    return tuple(appended)


def _same(line: Line, due: Due, policy: Policy) -> bool:
    return (
        line.component == due.component
        and line.clause == due.clause
        and line.points == due.points
        and line.cause == due.cause
        and line.policy_version == policy.version
    )


def _moved(relief: Relief, terms: Terms, state: State) -> bool:
    return relief.status == "granted" and relief.ends_at > terms.deadline and relief.starts_at <= state.deadline


def _line(line: Line, reversed_ids: set[UUID | None], policy: Policy | None) -> ScoreLine:
    clause = None if policy is None else policy.text(line.clause)
    return ScoreLine.trusted(
        line_id=line.line_id,
        seq=line.seq,
        component=line.component,
        points=line.points,
        cause=line.cause,
        cause_en=line.cause_en,
        clause=line.clause,
        policy_version=line.policy_version,
        event_id=line.event_id,
        created_at=line.created_at,
        reverses=line.reverses,
        in_force=line.reverses is None and line.line_id not in reversed_ids,
        clause_text=None if clause is None else clause.text_vi,
        clause_text_en=None if clause is None else clause.text_en,
        legal_basis=None if clause is None else clause.legal_basis,
    )
