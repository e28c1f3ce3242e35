"""What pages ask of the read model: each question one statement, bounded, and only of what the viewer sees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import RowMapping, TextClause, text

from services.board.viewing import Person, View
from shared.access import Office, Term, duty_of
from shared.contract.events import ObligationChanged
from shared.contract.hierarchy import Parents, ParentSince
from shared.postgres.database import ReadTransaction

PAGE_ROWS = 50
#: periods side by side in the heat map, the newest last
MOST_PERIODS = 12
#: rows of what one person has to send, or was told of
MOST_OWN = 200
#: of each climb the newest notices: to those above, and to officer and agency
MOST_ABOVE, MOST_BEFORE = 20, 10
#: of one agency, to hand a matter on to
MOST_COLLEAGUES = 200
#: regimes to choose from
MOST_REGIMES = 500
#: of one obligation the newest: versions (intake takes no more of it), steps, notices
MOST_VERSIONS, MOST_STEPS, MOST_TOLD = 200, 500, 500
#: what an agency's reports were returned for: findings looked at of each report, errors first
MOST_FINDINGS = 100
#: a deadline so near belongs to the first page
NEAR = timedelta(days=7)

#: a row that the viewer sees: `:whole`, `:agencies` and `:regimes` are View.pairs()
SEEN = """
    (o.agency = ANY(CAST(:whole AS text[])) OR (o.agency, o.regime) IN (
        SELECT * FROM unnest(CAST(:agencies AS text[]), CAST(:regimes AS text[]))))
"""
_COLUMNS = """
    o.obligation, o.agency, o.regime, o.period, o.standing, o.overdue, o.on_time, o.opens_at, o.deadline,
    o.answer_received_at, o.score, o.grace_until
"""

_PERSON = text("""
    SELECT person_id, agency, name, title, CAST(offices AS text) FROM people WHERE person_id = :id
""")
_OFFICER = text("""
    SELECT officer_id, agency, name, title, role, regimes FROM officers WHERE officer_id = :id AND active
""")
_TREE = text("SELECT code, name, name_en, parent, CAST(parents AS text), closed_on, kind FROM agencies ORDER BY code")
# a sum over codes and their versions: another record of any agency makes another sum
_TREE_MARKS = text("""
    SELECT count(*), COALESCE(sum(hashtextextended(code, version)), 0) FROM agencies
""")

# by deadline: what is missed longest first, what is due soon last
_INBOX = text(f"""
    SELECT {_COLUMNS} FROM obligations o
     WHERE o.owed AND o.standing <> 'fulfilled' AND o.deadline <= :horizon AND {SEEN}
       AND (CAST(:after_deadline AS timestamptz) IS NULL
            OR (o.deadline, o.obligation) > (CAST(:after_deadline AS timestamptz), CAST(:after AS text)))
     ORDER BY o.deadline, o.obligation LIMIT :rows
""")  # noqa: S608 - text of this module
_COUNTS = text(f"""
    SELECT count(*) FILTER (WHERE o.overdue) AS overdue,
           count(*) FILTER (WHERE NOT o.overdue AND o.standing = 'returned') AS returned,
           count(*) FILTER (WHERE NOT o.overdue AND o.deadline <= :near) AS near,
           count(*) AS open, min(o.deadline) FILTER (WHERE o.overdue) AS oldest
      FROM obligations o WHERE o.owed AND o.standing <> 'fulfilled' AND o.opens_at <= :now AND {SEEN}
""")  # noqa: S608 - text of this module

_NEWEST_VERSION = """
    SELECT r.code, r.name, r.name_en, r.frequency, r.legal_basis, r.effective_from FROM regimes r
     WHERE r.code = given.code AND r.effective_from <= :day ORDER BY r.regime_version DESC LIMIT 1
"""
_REGIMES = text(f"""
    SELECT newest.* FROM unnest(CAST(:codes AS text[])) AS given (code) CROSS JOIN LATERAL ({_NEWEST_VERSION}) AS newest
     ORDER BY newest.code
""")  # noqa: S608 - text of this module
# out of the index alone. The title of a question with a form of its own is its regime's name: that of others is not
# told. Where there are too many, questions stay out
_SEEN_REGIMES = text(f"""
    WITH given AS (
        SELECT o.regime AS code FROM obligations o WHERE o.agency = ANY(CAST(:whole AS text[]))
        UNION
        SELECT partly.regime FROM unnest(CAST(:agencies AS text[]), CAST(:regimes AS text[])) AS partly (agency, regime)
         WHERE EXISTS (SELECT FROM obligations o WHERE o.agency = partly.agency AND o.regime = partly.regime)
    )
    SELECT newest.* FROM given CROSS JOIN LATERAL ({_NEWEST_VERSION}) AS newest
     ORDER BY newest.frequency = 'adhoc', newest.effective_from DESC, newest.code LIMIT :rows
""")  # noqa: S608 - text of this module
_SEES_REGIME = text(f"SELECT EXISTS (SELECT FROM obligations o WHERE o.regime = :regime AND {SEEN})")  # noqa: S608 - text of this module
_REQUESTS = text("SELECT request_id, title, title_en FROM requests WHERE request_id = ANY(CAST(:ids AS text[]))")
_PERIODS = text(f"""
    SELECT period FROM (
        SELECT o.period, min(o.opens_at) AS opens_at FROM obligations o
         WHERE o.owed AND o.regime = :regime AND o.opens_at <= :now AND {SEEN} GROUP BY o.period
    ) AS known ORDER BY opens_at DESC, period DESC LIMIT :most
""")  # noqa: S608 - text of this module
_CELLS = text(f"""
    SELECT {_COLUMNS} FROM obligations o
     WHERE o.owed AND o.regime = :regime AND o.period = ANY(CAST(:periods AS text[]))
       AND o.agency = ANY(CAST(:rows AS text[])) AND {SEEN}
""")  # noqa: S608 - text of this module
_ROWS = text(f"""
    SELECT o.agency FROM obligations o
     WHERE o.owed AND o.regime = :regime AND o.period = ANY(CAST(:periods AS text[])) AND {SEEN}
       AND o.agency > :after GROUP BY o.agency ORDER BY o.agency LIMIT :rows
""")  # noqa: S608 - text of this module
_ALL_CELLS = text(f"""
    SELECT {_COLUMNS} FROM obligations o
     WHERE o.owed AND o.regime = :regime AND o.period = ANY(CAST(:periods AS text[])) AND {SEEN}
     ORDER BY o.agency, o.opens_at, o.period
""")  # noqa: S608 - text of this module
_TOTALS = text(f"""
    SELECT o.period, count(*) AS owed, count(o.answer_received_at) AS answered,
           count(*) FILTER (WHERE o.on_time) AS on_time, count(*) FILTER (WHERE o.on_time = false) AS late,
           count(*) FILTER (WHERE o.overdue) AS overdue, count(*) FILTER (WHERE o.standing = 'returned') AS returned,
           avg(EXTRACT(epoch FROM o.answer_received_at - o.deadline) / 86400)
               FILTER (WHERE o.on_time = false) AS days_late
      FROM obligations o
     WHERE o.owed AND o.regime = :regime AND o.period = ANY(CAST(:periods AS text[])) AND {SEEN}
     GROUP BY o.period
""")  # noqa: S608 - text of this module

_OF_AGENCY = text(f"""
    SELECT {_COLUMNS} FROM obligations o
     WHERE o.owed AND o.agency = :agency AND o.opens_at <= :now AND {SEEN}
     ORDER BY o.deadline DESC, o.obligation DESC LIMIT :rows
""")  # noqa: S608 - text of this module
# of each obligation the newest version that was returned: a corrected report was returned all the same
_FREQUENT = text("""
    SELECT f->>'code' AS code, max(f->>'message') AS message, max(f->>'message_en') AS message_en,
           count(DISTINCT newest.submission_id) AS reports
      FROM unnest(CAST(:obligations AS text[])) AS of (obligation)
           CROSS JOIN LATERAL (
               SELECT v.submission_id, v.findings FROM verdicts v
                WHERE v.obligation = of.obligation AND v.outcome = 'returned' ORDER BY v.version DESC LIMIT 1
           ) AS newest
           CROSS JOIN LATERAL jsonb_path_query(
               newest.findings, '$[0 to $last] ? (@.severity == "error")',
               jsonb_build_object('last', CAST(:last AS int))
           ) AS f
     GROUP BY f->>'code' ORDER BY reports DESC, code LIMIT 10
""")
_WHO_ANSWERS = text("""
    SELECT agency, officer_id AS id, name, title, role, regimes FROM officers
     WHERE agency = ANY(CAST(:agencies AS text[])) AND active ORDER BY role, name, officer_id
""")
_STAFFED = text("SELECT DISTINCT agency FROM officers WHERE active AND role = 'reporting_officer'")
_HOLDERS = text("""
    SELECT person_id, name, title, CAST(offices AS text) FROM people
     WHERE EXISTS (SELECT FROM jsonb_array_elements(offices) AS o WHERE o->>'agency' = ANY(CAST(:agencies AS text[])))
     ORDER BY name, person_id
""")
_VERSIONS_OF = text("""
    SELECT regime_version, name, name_en, frequency, legal_basis, effective_from, replaces, CAST(form AS text) AS form
      FROM regimes WHERE code = :code ORDER BY effective_from DESC, regime_version DESC LIMIT :rows
""")

# what somebody still has to send, with the terms that say what is next; what opens later comes into sight in its time
_OWED = text(f"""
    SELECT {_COLUMNS}, CAST(d.document AS text), draft.saved_at,
           (SELECT s.until FROM steps s WHERE s.obligation = o.obligation AND s.kind = 'unlocked'
             ORDER BY s.at DESC, s.step_id DESC LIMIT 1)
      FROM obligations o JOIN obligation_documents d USING (obligation) LEFT JOIN drafts draft USING (obligation)
     WHERE o.owed AND o.standing <> 'fulfilled' AND o.opens_at <= :now AND {SEEN}
     ORDER BY o.deadline, o.obligation LIMIT :rows
""")  # noqa: S608 - text of this module
# told of since the deadline in force: an earlier climb ended when its deadline moved
_CLIMBED = "n.obligation = o.obligation AND n.kind = 'escalation' AND n.at >= o.deadline"
_BEFORE_IT = "n.obligation = o.obligation AND n.kind IN ('reminder', 'returned', 'overdue')"
_ESCALATED = text(f"""
    SELECT {_COLUMNS} FROM obligations o
     WHERE o.owed AND o.standing <> 'fulfilled' AND o.overdue AND {SEEN}
       AND EXISTS (SELECT FROM notices n WHERE {_CLIMBED})
       AND NOT EXISTS (SELECT FROM notices n WHERE {_CLIMBED} AND n.officer_id = :person)
       AND (CAST(:after_deadline AS timestamptz) IS NULL
            OR (o.deadline, o.obligation) > (CAST(:after_deadline AS timestamptz), CAST(:after AS text)))
     ORDER BY o.deadline, o.obligation LIMIT :rows
""")  # noqa: S608 - text of this module
# IN says once more what EXISTS says, so that PostgreSQL can begin with the person's notices
_ESCALATED_TO = text(f"""
    SELECT {_COLUMNS} FROM obligations o
     WHERE o.owed AND o.standing <> 'fulfilled' AND o.overdue
       AND EXISTS (SELECT FROM notices n WHERE {_CLIMBED} AND n.officer_id = :person)
       AND o.obligation IN (SELECT obligation FROM notices WHERE officer_id = :person AND kind = 'escalation')
     ORDER BY o.deadline, o.obligation LIMIT :rows
""")  # noqa: S608 - text of this module
_NOTICES_OF = text(f"""
    SELECT newest.notification_id, newest.obligation, newest.kind, newest.step, newest.officer_id, newest.outcome,
           newest.at
      FROM unnest(CAST(:keys AS text[])) AS of (obligation) JOIN obligations o USING (obligation)
           CROSS JOIN LATERAL (
               (SELECT * FROM notices n WHERE {_CLIMBED} ORDER BY n.at DESC, n.notification_id DESC LIMIT :above)
               UNION ALL
               (SELECT * FROM notices n WHERE {_BEFORE_IT} ORDER BY n.at DESC, n.notification_id DESC LIMIT :before)
           ) AS newest
     ORDER BY newest.at, newest.notification_id
""")  # noqa: S608 - text of this module

# of each report the climb that is open; of a report that was overdue before, another is over
_OPEN_CLIMBS = text("""
    SELECT DISTINCT ON (obligation) * FROM escalations
     WHERE resolved_at IS NULL AND obligation = ANY(CAST(:keys AS text[])) ORDER BY obligation, number DESC
""")
_CLIMBS = text("SELECT * FROM escalations WHERE obligation = :key ORDER BY number")
_PROMISES = text("""
    SELECT DISTINCT ON (obligation) obligation, held_until, answers #>> '{-1,kind}' AS kind FROM escalations
     WHERE resolved_at IS NULL AND held_until > :now AND obligation = ANY(CAST(:keys AS text[]))
     ORDER BY obligation, number DESC
""")

# an escalation that this person was told of, with how the report stands now
_TOLD = text(f"""
    SELECT {_COLUMNS}, n.step, n.at FROM notices n JOIN obligations o USING (obligation)
     WHERE n.notification_id = :id AND n.officer_id = :person AND n.kind = 'escalation'
""")  # noqa: S608 - text of this module
_COLLEAGUES = text("""
    SELECT officer_id, name, title FROM officers WHERE agency = :agency AND active AND officer_id <> :person
    UNION
    SELECT person_id, name, title FROM people WHERE agency = :agency AND person_id <> :person
    ORDER BY 2, 1 LIMIT :most
""")

_OBLIGATION = text("SELECT CAST(document AS text) FROM obligation_documents WHERE obligation = :key")
#: the last accepted version of the obligation before this one; another question is no earlier period
_BEFORE = text("""
    SELECT r.submission_id, before.period FROM (
        SELECT o.obligation, o.period FROM obligations o
         WHERE o.agency = :agency AND o.regime = :regime AND o.deadline < :deadline
           AND NOT EXISTS (SELECT FROM regimes g WHERE g.code = o.regime AND g.frequency = 'adhoc')
         ORDER BY o.deadline DESC, o.obligation DESC LIMIT 1
    ) AS before JOIN reports r USING (obligation) JOIN verdicts v USING (submission_id)
     WHERE v.outcome = 'accepted' AND NOT EXISTS (
           SELECT FROM steps s WHERE s.obligation = r.obligation AND s.version = r.version AND s.kind = 'withdrawn')
     ORDER BY r.version DESC LIMIT 1
""")
_FORM = text("SELECT CAST(form AS text) FROM regimes WHERE code = :code AND regime_version = :version")
# of each the newest; they are turned round where they are read
_REPORTS = text("""
    SELECT r.submission_id, r.version, r.officer_id, r.received_at, r.sha256, r.nil, r.nil_reason, r.declines,
           v.revision, v.decided_at, v.outcome, v.errors, v.warnings
      FROM reports r LEFT JOIN verdicts v USING (submission_id)
     WHERE r.obligation = :key ORDER BY r.version DESC, r.received_at DESC LIMIT :rows
""")
_FINDINGS = text("SELECT CAST(findings AS text) FROM verdicts WHERE submission_id = :submission_id")
_STEPS = text("""
    SELECT step_id, kind, at, by, role, reason, remedy, until, version FROM steps WHERE obligation = :key
     ORDER BY at DESC, step_id DESC LIMIT :rows
""")
_NOTICES = text("""
    SELECT notification_id, kind, step, officer_id, channel, outcome, at FROM notices WHERE obligation = :key
     ORDER BY at DESC, notification_id DESC LIMIT :rows
""")
_NAMES = text("""
    SELECT person_id AS id, name, title FROM people WHERE person_id = ANY(CAST(:ids AS text[]))
    UNION SELECT officer_id, name, title FROM officers WHERE officer_id = ANY(CAST(:ids AS text[]))
""")


@dataclass(frozen=True, slots=True)
class Agency:
    """What pages show of an agency."""

    code: str
    name: str
    name_en: str
    above: Parents
    closed_on: date | None
    kind: str


@dataclass(frozen=True, slots=True)
class Line:
    """An obligation as a table shows it."""

    obligation: str
    agency: str
    regime: str
    period: str
    standing: str
    overdue: bool
    on_time: bool | None
    opens_at: datetime
    deadline: datetime
    answer_received_at: datetime | None
    score: Decimal | None
    grace_until: datetime | None


class Terms(msgspec.Struct):
    """Of an obligation's event: what decides what is to be done next."""

    cutoff_to: date | None = None
    locks_at: datetime | None = None
    received_version: int | None = None
    certify_version: int | None = None
    rework_version: int | None = None
    rework_reason: str | None = None
    rework_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Owed:
    """An obligation that nothing answers yet."""

    line: Line
    terms: Terms
    drafted_at: datetime | None = None  # when its draft was saved last
    unlocked_until: datetime | None = None  # by the latest unlocking after the lock


class _Later(msgspec.Struct):
    code: str
    since: date


class _Office(msgspec.Struct):
    role: str
    agency: str
    since: date
    until: date | None = None
    regimes: tuple[str, ...] = ()
    delegated_by: str | None = None


def later_parents(document: str) -> tuple[ParentSince, ...]:
    """The later parents of an agency's stored record."""
    return tuple(ParentSince(later.since, later.code) for later in msgspec.json.decode(document, type=list[_Later]))


def offices(document: str) -> list[_Office]:
    """The offices of a person's stored record."""
    return msgspec.json.decode(document, type=list[_Office])


async def person(snapshot: ReadTransaction, person_id: str) -> Person | None:
    """Who the registry says this is today; None for somebody it does not know (any more)."""
    found = (await snapshot.execute(_PERSON, {"id": person_id})).one_or_none()
    officer = (await snapshot.execute(_OFFICER, {"id": person_id})).one_or_none()
    held: list[Office] = []
    if officer is not None:
        held.append(duty_of(officer[4], officer[1], officer[5]))
    if found is not None:
        for office in offices(found[4]):
            # a delegation is of the head's offices, which are looked up
            delegation = await _delegation(snapshot, office)
            held.append(
                Office(office.role, office.agency, Term(office.since, office.until), office.regimes, delegation)
            )
    first = found if found is not None else officer
    return Person(first[0], first[1], first[2], first[3], tuple(held)) if first is not None else None


async def _delegation(snapshot: ReadTransaction, office: _Office) -> tuple[Term, ...]:
    if office.delegated_by is None:
        return ()
    officer = (await snapshot.execute(_OFFICER, {"id": office.delegated_by})).one_or_none()
    terms = [Term(date.min)] if officer is not None and (officer[4], officer[1]) == ("head", office.agency) else []
    head = (await snapshot.execute(_PERSON, {"id": office.delegated_by})).one_or_none()
    if head is not None:
        terms += [
            Term(held.since, held.until)
            for held in offices(head[4])
            if (held.role, held.agency) == ("head", office.agency)
        ]
    return tuple(terms)


async def agencies(snapshot: ReadTransaction) -> dict[str, Agency]:
    """Every agency, by its code."""
    rows = (await snapshot.execute(_TREE)).all()
    return {
        row[0]: Agency(
            row[0], row[1], row[2],
            Parents(row[3], later_parents(row[4])),
            row[5], row[6],
        )
        for row in rows
    }  # fmt: skip


async def agencies_marks(snapshot: ReadTransaction) -> tuple[int, Decimal]:
    """What is the same for as long as every agency's record is: how many there are, and a sum over their versions."""
    count, marks = (await snapshot.execute(_TREE_MARKS)).one()
    return count, marks


def seen(view: View) -> dict[str, list[str]]:
    whole, agencies_, regimes = view.pairs()
    return {"whole": whole, "agencies": agencies_, "regimes": regimes}


async def inbox(
    snapshot: ReadTransaction, view: View, now: datetime, after: tuple[datetime, str] | None = None
) -> list[Line]:
    """What is overdue, returned or due soon, by deadline; one row more than a page where there is a next one."""
    given = {
        **seen(view), "horizon": now + NEAR, "rows": PAGE_ROWS + 1,
        "after_deadline": after[0] if after else None, "after": after[1] if after else None,
    }  # fmt: skip
    return [Line(*row) for row in (await snapshot.execute(_INBOX, given)).all()]


async def counts(snapshot: ReadTransaction, view: View, now: datetime) -> RowMapping:
    """How much is overdue, returned, near and open, and the oldest deadline that is missed."""
    return (await snapshot.execute(_COUNTS, {**seen(view), "now": now, "near": now + NEAR})).mappings().one()


async def regimes(snapshot: ReadTransaction, codes: Iterable[str], day: date) -> dict[str, RowMapping]:
    """The newest version of each of these regimes in force on the day, by code."""
    rows = await snapshot.execute(_REGIMES, {"codes": sorted(set(codes)), "day": day})
    return {row["code"]: row for row in rows.mappings().all()}


async def seen_regimes(snapshot: ReadTransaction, view: View, day: date) -> tuple[dict[str, RowMapping], bool]:
    """Regimes under which the view sees an obligation, by code, and whether there are more: then requests stay out."""
    rows = (
        (await snapshot.execute(_SEEN_REGIMES, {**seen(view), "day": day, "rows": MOST_REGIMES + 1})).mappings().all()
    )
    listed = sorted(rows[:MOST_REGIMES], key=lambda row: row["code"])
    return {row["code"]: row for row in listed}, len(rows) > MOST_REGIMES


async def sees_regime(snapshot: ReadTransaction, view: View, regime: str) -> bool:
    """Whether the view sees an obligation under the regime."""
    return bool((await snapshot.execute(_SEES_REGIME, {**seen(view), "regime": regime})).scalar_one())


async def requests(snapshot: ReadTransaction, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Titles of ad hoc requests."""
    rows = (await snapshot.execute(_REQUESTS, {"ids": list(ids)})).all() if ids else []
    return {row[0]: (row[1], row[2]) for row in rows}


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Agencies (rows, at most a page and one) × periods (the newest last)."""

    periods: list[str]
    rows: list[str]
    cells: Mapping[tuple[str, str], Line]
    totals: Mapping[str, RowMapping]  # by period, of all agencies that are seen


async def heat_map(snapshot: ReadTransaction, view: View, regime: str, now: datetime, after: str = "") -> HeatMap:
    """How the agencies stand with a regime over its latest periods."""
    periods = await _latest_periods(snapshot, view, regime, now)
    given: dict[str, Any] = {**seen(view), "regime": regime, "periods": periods}
    rows = (await snapshot.execute(_ROWS, {**given, "after": after, "rows": PAGE_ROWS + 1})).scalars().all()
    lines = [Line(*row) for row in (await snapshot.execute(_CELLS, {**given, "rows": list(rows)})).all()]
    totals = (await snapshot.execute(_TOTALS, given)).mappings().all()
    return HeatMap(
        periods,
        list(rows),
        {(line.agency, line.period): line for line in lines},
        {row["period"]: row for row in totals},
    )


async def all_cells(snapshot: ReadTransaction, view: View, regime: str, now: datetime) -> list[Line]:
    """Every cell of the heat map, by agency, the newest period last."""
    given = {**seen(view), "regime": regime, "periods": await _latest_periods(snapshot, view, regime, now)}
    return [Line(*row) for row in (await snapshot.execute(_ALL_CELLS, given)).all()]


async def _latest_periods(snapshot: ReadTransaction, view: View, regime: str, now: datetime) -> list[str]:
    found = await snapshot.execute(_PERIODS, {**seen(view), "regime": regime, "now": now, "most": MOST_PERIODS})
    return [row[0] for row in found.all()][::-1]


async def of_agency(snapshot: ReadTransaction, view: View, agency: str, now: datetime) -> list[Line]:
    """The agency's obligations, the latest first."""
    given = {**seen(view), "agency": agency, "now": now, "rows": 4 * PAGE_ROWS}
    return [Line(*row) for row in (await snapshot.execute(_OF_AGENCY, given)).all()]


async def owed(snapshot: ReadTransaction, view: View, now: datetime) -> list[Owed]:
    """What is open and to be sent for what the view holds, by deadline; one row more than is shown where more is."""
    rows = (await snapshot.execute(_OWED, {**seen(view), "now": now, "rows": MOST_OWN + 1})).all()
    return [Owed(Line(*row[:-3]), msgspec.json.decode(row[-3], type=Terms), row[-2], row[-1]) for row in rows]


async def escalated(
    snapshot: ReadTransaction, view: View, person_id: str, after: tuple[datetime, str] | None = None
) -> list[Line]:
    """Overdue reports that others than this person were told of, by deadline; one row more where there is more."""
    given = {
        **seen(view), "person": person_id, "rows": PAGE_ROWS + 1,
        "after_deadline": after[0] if after else None, "after": after[1] if after else None,
    }  # fmt: skip
    return [Line(*row) for row in (await snapshot.execute(_ESCALATED, given)).all()]


async def escalated_to(snapshot: ReadTransaction, person_id: str) -> list[Line]:
    """Overdue reports that this person was told of, whosever, by deadline; one row more where there is more."""
    rows = await snapshot.execute(_ESCALATED_TO, {"person": person_id, "rows": MOST_OWN + 1})
    return [Line(*row) for row in rows.all()]


async def told(snapshot: ReadTransaction, notice: UUID, person_id: str) -> tuple[Line, str, datetime] | None:
    """The report that this escalation told this person of, its step and when; None for any other notice."""
    row = (await snapshot.execute(_TOLD, {"id": notice, "person": person_id})).one_or_none()
    return None if row is None else (Line(*row[:-2]), row[-2], row[-1])


async def colleagues(snapshot: ReadTransaction, agency: str, person_id: str) -> Sequence[RowMapping]:
    """Others of the agency, by name."""
    given = {"agency": agency, "person": person_id, "most": MOST_COLLEAGUES}
    return (await snapshot.execute(_COLLEAGUES, given)).mappings().all()


async def notices_of(snapshot: ReadTransaction, obligations: Sequence[str]) -> Sequence[RowMapping]:
    """The newest notices of each obligation's climb, in the order of their moments; one more of each of the two sorts
    where there are older ones.
    """
    given = {"keys": sorted(set(obligations)), "above": MOST_ABOVE + 1, "before": MOST_BEFORE + 1}
    return (await snapshot.execute(_NOTICES_OF, given)).mappings().all()


async def open_climbs(snapshot: ReadTransaction, obligations: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """The open climb of each of these obligations, as its newest event tells it; none where no event has."""
    given = {"keys": sorted(set(obligations))}
    return {row["obligation"]: dict(row) for row in (await snapshot.execute(_OPEN_CLIMBS, given)).mappings()}


async def promises(snapshot: ReadTransaction, obligations: Sequence[str], now: datetime) -> dict[str, RowMapping]:
    """Until when the climbs of these obligations are stopped, and by which kind of answer; none of the others."""
    given = {"keys": sorted(set(obligations)), "now": now}
    rows = (await snapshot.execute(_PROMISES, given)).mappings() if obligations else ()
    return {row["obligation"]: row for row in rows}


async def frequent_findings(snapshot: ReadTransaction, obligations: Sequence[str]) -> Sequence[RowMapping]:
    """What these obligations' newest returned reports were returned for most often, with one message of each."""
    given = {"obligations": list(obligations), "last": MOST_FINDINGS - 1}
    return (await snapshot.execute(_FREQUENT, given)).mappings().all()


@dataclass(frozen=True, slots=True)
class Holder:
    """Who answers at an agency: an officer on duty, or a person with an office there on the day."""

    agency: str
    person_id: str
    name: str
    title: str
    role: str
    regimes: Sequence[str]
    until: date | None = None


async def who_answers(snapshot: ReadTransaction, agencies: Sequence[str], day: date) -> dict[str, list[Holder]]:
    """Officers on duty now, and who holds an office on the day, by agency."""
    given = {"agencies": list(agencies)}
    found: dict[str, list[Holder]] = {agency: [] for agency in agencies}
    for row in await snapshot.execute(_WHO_ANSWERS, given):
        found[row[0]].append(Holder(*row))
    for person_id, name, title, document in await snapshot.execute(_HOLDERS, given):
        for office in offices(document):
            holds = office.since <= day and (office.until is None or day <= office.until)
            known = found.get(office.agency, [])
            if not holds or office.agency not in found:
                continue
            if any((one.person_id, one.role) == (person_id, office.role) for one in known):
                continue  # an officer of the same id and role
            known.append(Holder(office.agency, person_id, name, title, office.role, office.regimes, office.until))
    return found


async def staffed(snapshot: ReadTransaction) -> frozenset[str]:
    """Agencies that have a reporting officer on duty."""
    return frozenset(row[0] for row in await snapshot.execute(_STAFFED))


async def versions_of(snapshot: ReadTransaction, regime: str) -> Sequence[RowMapping]:
    """The newest versions of a regime, each with its form as JSON text, or None where it is not known."""
    return (await snapshot.execute(_VERSIONS_OF, {"code": regime, "rows": PAGE_ROWS})).mappings().all()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one obligation: all of it, or the newest where there is too much."""

    state: ObligationChanged
    reports: Sequence[RowMapping]  # the newest version last
    steps: Sequence[RowMapping]
    notices: Sequence[RowMapping]
    climbs: Sequence[Mapping[str, Any]]  # the newest last
    names: Mapping[str, tuple[str, str]]  # of people: name and title
    latest: RowMapping | None  # the newest version that was judged
    findings: str  # its findings, a JSON array
    older: bool  # whether there are older reports, steps or notices than these


async def state_of(snapshot: ReadTransaction, key: str) -> ObligationChanged | None:
    """How an obligation stands, whole; None where the board knows of none."""
    document = (await snapshot.execute(_OBLIGATION, {"key": key})).scalar_one_or_none()
    return None if document is None else ObligationChanged.model_validate_json(document)


async def accepted_before(snapshot: ReadTransaction, state: ObligationChanged) -> RowMapping | None:
    """Id and period of what was accepted last of the obligation's period before; None where nothing was."""
    given = {"agency": state.agency, "regime": state.regime, "deadline": state.deadline}
    return (await snapshot.execute(_BEFORE, given)).mappings().one_or_none()


async def form_of(snapshot: ReadTransaction, regime: str, version: int) -> str | None:
    """The form of a regime's version, JSON; None where the board does not have it."""
    return (await snapshot.execute(_FORM, {"code": regime, "version": version})).scalar_one_or_none()


async def steps_about(snapshot: ReadTransaction, key: str, version: int) -> list[RowMapping]:
    """What people did with one version of a report, the newest last; of the newest steps of its obligation."""
    newest, _ = await _newest(snapshot, _STEPS, key, MOST_STEPS)
    return [step for step in newest if step["version"] == version]


async def lateness_of(snapshot: ReadTransaction, key: str) -> list[Mapping[str, Any]]:
    """What was said of an obligation's lateness, the newest last; the newest steps alone."""
    newest, _ = await _newest(snapshot, _STEPS, key, MOST_STEPS)
    return [dict(step) for step in newest if step["kind"].startswith("lateness_")]


async def names(snapshot: ReadTransaction, ids: Iterable[str | None]) -> dict[str, tuple[str, str]]:
    """Name and title of people and officers, by their ids; nothing of those whom the registry does not know."""
    rows = (await snapshot.execute(_NAMES, {"ids": sorted({one for one in ids if one})})).all()
    return {row[0]: (row[1], row[2]) for row in rows}


async def evidence(snapshot: ReadTransaction, key: str) -> Evidence | None:
    """The evidence of an obligation; None where the board knows of none."""
    state = await state_of(snapshot, key)
    if state is None:
        return None
    reports, older_reports = await _newest(snapshot, _REPORTS, key, MOST_VERSIONS)
    steps, older_steps = await _newest(snapshot, _STEPS, key, MOST_STEPS)
    notices, older_notices = await _newest(snapshot, _NOTICES, key, MOST_TOLD)
    climbs = [dict(row) for row in (await snapshot.execute(_CLIMBS, {"key": key})).mappings()]
    latest = next((report for report in reversed(reports) if report["outcome"]), None)
    findings = "[]"
    if latest is not None:
        of_it = {"submission_id": latest["submission_id"]}
        findings = (await snapshot.execute(_FINDINGS, of_it)).scalar_one()
    ids = [state.officer_id, *(row["officer_id"] for row in (*reports, *notices)), *(row["by"] for row in steps)]
    ids += people_of(climbs)
    older = older_reports or older_steps or older_notices
    known = await names(snapshot, ids)
    return Evidence(state, reports, steps, notices, climbs, known, latest, findings, older)


def people_of(climbs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Ids of those who answered, handed on or were handed on to."""
    return [
        person
        for climb in climbs
        for person in (
            *(given["by"] for given in climb["answers"]),
            *(one for handed in climb["handed_on"] for one in (handed["by"], handed["to"])),
        )
    ]


async def _newest(
    snapshot: ReadTransaction, statement: TextClause, key: str, most: int
) -> tuple[Sequence[RowMapping], bool]:
    """The newest rows, the newest last, and whether there are older ones."""
    rows = (await snapshot.execute(statement, {"key": key, "rows": most + 1})).mappings().all()
    return rows[:most][::-1], len(rows) > most
