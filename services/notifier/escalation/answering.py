"""Takes the answer of somebody who was told: once by each notice, and once more to take it back. It never commits."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import text

from services.notifier.escalation import store
from services.notifier.escalation.domain import (
    Answer,
    Escalation,
    Facts,
    HandedOn,
    Refused,
    Told,
    acknowledge,
    hand_on,
    promise_limit,
    rung_of,
    take_back,
)
from services.notifier.planning import store as planning
from services.notifier.planning.domain import Notice
from shared.contract.events.fields import flaw_of_text, usable_address
from shared.contract.reporting_window import local_day
from shared.contract.words import period_words
from shared.contract.working_days import CalendarGap, WorkingCalendar
from shared.postgres.database import ReadTransaction, Transaction
from shared.reports.classified import is_classified
from shared.runtime.clock import LOCAL_ZONE

Given = Literal["acknowledged", "snoozed", "taken_back"]
MAX_REASON_CHARACTERS = 500

#: why an answer is not taken, and what to do
REFUSALS: dict[str, tuple[str, str]] = {
    "resolved": ("Báo cáo không còn quá hạn; không cần trả lời.", "It is overdue no more; no answer is needed."),
    "answered": ("Đường dẫn này đã được dùng để trả lời.", "This link has been used to answer."),
    "not_told": ("Thông báo này không gửi tới Ông/Bà.", "This notice was not made out to you."),
    "no_date": ("Hãy chọn ngày.", "Choose a date."),
    "in_the_past": ("Hãy chọn một ngày sau hôm nay.", "Choose a day after today."),
    "too_far": ("Ngày hẹn quá xa; hãy chọn ngày sớm hơn.", "The date is too far ahead; choose an earlier one."),
    "too_often": ("Đã hẹn đủ số lần cho phép.", "It was put off as often as is allowed."),
    "no_reason": ("Hãy ghi lý do tạm hoãn.", "Give the reason for putting it off."),
    "no_reason_to_hand_on": ("Hãy ghi lý do chuyển giao.", "Give the reason for handing it on."),
    "told_already": ("Người này đã được báo.", "This person has been told already."),
    "handed_on_too_often": ("Đã chuyển giao đủ số lần cho phép.", "It was handed on as often as is allowed."),
    "nobody": (
        "Không có người này, hoặc không gửi thư cho người này được.",
        "There is no such person, or none who can be written to.",
    ),
    "outside": (
        "Chỉ chuyển giao cho người thuộc cơ quan của người được báo hoặc cơ quan cấp dưới.",
        "It is handed on within the agency of the person who was told, or below it.",
    ),
    "unfit_reason": (
        "Lý do có ký tự điều khiển, ký tự ẩn, hoặc bắt đầu bằng dấu không có chữ; hãy gõ lại.",
        "The reason holds a control or hidden character, or begins with a mark without a letter; type it again.",
    ),
    "classified": (
        "Hệ thống không nhận nội dung mang độ mật; gửi qua kênh mà luật về bảo vệ bí mật nhà nước quy định.",
        "Classified content is not taken here; send it by the channel the law names.",
    ),
    "not_held": ("Hiện không có lời hẹn nào để rút.", "There is no promise to take back."),
    "no_calendar": ("Chưa có lịch làm việc; hãy thử lại sau.", "There is no working calendar yet; try again later."),
}

_TOLD = """
    SELECT n.id, n.obligation, n.agency, n.regime, n.period, n.officer_id, n.step, n.facts, n.settled_at, o.deadline,
           r.name AS regime_name, r.name_en AS regime_name_en, q.title AS request, q.title_en AS request_en
      FROM notifications n JOIN obligations o ON o.obligation = n.obligation
      LEFT JOIN regimes r ON r.code = o.regime AND r.regime_version = o.regime_version
      LEFT JOIN requests q ON q.request_id = o.period
     WHERE n.kind = 'escalation' AND n.state IN ('sent', 'in_data', 'unknown')
"""
_NOTICE = text(f"{_TOLD} AND n.id = :id")
_OPEN = text(f"""
    {_TOLD} AND n.officer_id = ANY(CAST(:people AS text[])) AND (CAST(:before AS uuid) IS NULL OR n.id < :before)
       AND EXISTS (SELECT FROM escalations e WHERE e.obligation = n.obligation AND e.resolved_at IS NULL
                      AND starts_with(n.step, (e.document ->> 'step') || '/rung-'))
     ORDER BY n.id DESC LIMIT :limit
""")
_PEOPLE_OF = text("""
    SELECT officer_id FROM officers WHERE agency = :agency UNION SELECT person_id FROM people WHERE agency = :agency
""")


@dataclass(frozen=True, slots=True)
class Names:
    """What people call the report, Vietnamese and English each."""

    agency: tuple[str, str]
    regime: tuple[str, str]
    period: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """An escalation as one who was told of it sees it."""

    notice: UUID
    obligation: str
    person: str
    facts: dict[str, Any]
    agency: str
    period: str
    names: Names
    told_at: datetime | None
    deadline: datetime | None
    escalation: Escalation | None  # None: it is over, or another climb began since
    last_day: date | None  # the furthest that may be promised now
    answered: Answer | None  # by this link
    taken_back: bool


async def asked(tx: ReadTransaction, notice: UUID, now: datetime) -> Asked | None:
    """What the notice asks of its recipient; None for one that has not gone out. `now`: business time."""
    row = (await tx.execute(_NOTICE, {"id": notice})).mappings().one_or_none()
    if row is None:
        return None
    found = [
        escalation for escalation in await store.of_obligation(tx, row["obligation"])
        if escalation.open and row["step"].startswith(f"{escalation.climb.step}/rung-")
    ]  # fmt: skip
    calendar = await planning.calendar(tx) if found else None
    return _asked(row, found[0] if found else None, calendar, now)


def _asked(row: Any, escalation: Escalation | None, calendar: WorkingCalendar | None, now: datetime) -> Asked:
    last_day = None
    mine: list[Answer] = []
    if escalation is not None:
        try:
            last_day = None if calendar is None else local_day(promise_limit(escalation, calendar, now))
        except CalendarGap:
            last_day = None
        mine = [given for given in escalation.climb.answers if given.notice == str(row["id"])]
    return Asked(
        row["id"], row["obligation"], row["officer_id"], row["facts"], row["agency"], row["period"], _names(row),
        row["settled_at"], row["deadline"], escalation, last_day,
        next((given for given in mine if given.kind != "taken_back"), None),
        any(given.kind == "taken_back" for given in mine),
    )  # fmt: skip


def _names(row: Any) -> Names:
    facts = row["facts"]
    regime = row["regime_name"] or row["regime"]
    return Names(
        (facts["agency_name"], facts["agency_name_en"] or facts["agency_name"]),
        (regime, row["regime_name_en"] or regime),
        period_words(row["period"], row["request"] or "", row["request_en"] or ""),
    )


async def open_ones(
    tx: ReadTransaction, people: Collection[str], now: datetime, *, before: UUID | None, limit: int
) -> list[Asked]:
    """What these people were told of and is still overdue, the newest notice first. `now`: business time."""
    asked_for = {"people": sorted(people), "before": before, "limit": limit}
    rows = (await tx.execute(_OPEN, asked_for)).mappings().all()
    climbs = await store.open_ones(tx, {row["obligation"] for row in rows})
    calendar = await planning.calendar(tx)
    return [_asked(row, climbs.get(row["obligation"]), calendar, now) for row in rows]


async def people_of(tx: ReadTransaction, agency: str) -> list[str]:
    """Ids of the agency's people."""
    return list((await tx.execute(_PEOPLE_OF, {"agency": agency})).scalars())


def _plain(reason: str) -> str:
    """The reason as it is kept: it stands in mails, pages and listings. Raises Refused."""
    cut = reason[:MAX_REASON_CHARACTERS].rstrip()
    if is_classified(cut):
        raise Refused("classified")
    if flaw_of_text(cut, MAX_REASON_CHARACTERS):
        raise Refused("unfit_reason")
    return cut


async def hand_over(
    tx: Transaction,
    notice: UUID,
    to: str,
    reason: str,
    now: datetime,
    *,
    via: str = "",
) -> tuple[Escalation, Notice]:
    """Hand the matter of this notice on to another person; the notice to that person is the caller's to plan.

    `now`: business time. via: the agency whose system, or the operator who, does it for the person. Raises Refused:
    beside the domain's reasons nobody, outside, unfit_reason, classified.
    """
    row = (await tx.execute(_NOTICE, {"id": notice})).mappings().one_or_none()
    if row is None:
        raise Refused("resolved")
    obligation = (await planning.lock(tx, [row["obligation"]]))[row["obligation"]]
    escalation = await store.take_open(tx, row["obligation"])
    if escalation is None or not row["step"].startswith(f"{escalation.climb.step}/rung-"):
        raise Refused("resolved")
    directory = await planning.directory(tx, {obligation.agency}, {row["officer_id"], to}, reviewers=True)
    by, person = directory.known(row["officer_id"]), directory.known(to)
    if person is None or not person.active or not usable_address(person.email):
        raise Refused("nobody")
    above = (await planning.tree_above(tx, [person.agency])).above(person.agency, local_day(now))
    if by is None or by.agency not in (person.agency, *above):
        raise Refused("outside")
    rung = rung_of(escalation, row["officer_id"])
    told = Told(to, person.agency, f"{escalation.climb.step}/rung-{rung}/to-{to}")
    handing = HandedOn(now, row["officer_id"], rung, told, _plain(reason), str(notice), via)
    try:
        facts = Facts(obligation, directory, await planning.calendar(tx))
        after, letter = hand_on(escalation, handing, person, by, facts)
    except CalendarGap:
        after, letter = hand_on(escalation, handing, person, by, Facts(obligation, directory, None))
    await store.save(tx, [(escalation, after)], now)
    return after, letter


async def give(
    tx: Transaction, notice: UUID, kind: Given, until: date | None, reason: str, now: datetime, via: str = ""
) -> Escalation:
    """Take one answer to this notice. `now`: business time. via: the agency whose system gives it.

    Raises Refused: beside the domain's reasons answered (the link has served), no_calendar, resolved,
    unfit_reason, classified.
    """
    row = (await tx.execute(_NOTICE, {"id": notice})).mappings().one_or_none()
    if row is None:
        raise Refused("resolved")
    await planning.lock(tx, [row["obligation"]])
    escalation = await store.take_open(tx, row["obligation"])
    if escalation is None or not row["step"].startswith(f"{escalation.climb.step}/rung-"):
        raise Refused("resolved")
    mine = [given for given in escalation.climb.answers if given.notice == str(notice)]
    if any((given.kind == "taken_back") == (kind == "taken_back") for given in mine):
        raise Refused("answered")
    # who takes an answer back promises nothing: a day that comes with it counts for nothing
    promised = None if kind == "taken_back" else until
    moment = None if promised is None else datetime.combine(promised, escalation.climb.ladder.office_hour, LOCAL_ZONE)
    answer = Answer(now, row["officer_id"], kind, moment, _plain(reason), str(notice), via)
    if kind == "taken_back":
        after = take_back(escalation, answer)
    else:
        calendar = await planning.calendar(tx)
        if calendar is None:
            raise Refused("no_calendar")
        try:
            after = acknowledge(escalation, answer, calendar)
        except CalendarGap:
            raise Refused("no_calendar") from None
    await store.save(tx, [(escalation, after)], now)
    return after
