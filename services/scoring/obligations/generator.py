"""Plans become obligations by one INSERT per batch of plans; doing it again changes nothing.

What exists already and has other terms than its plan is loaded, decided on by `follow_plan`, and saved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from msgspec.structs import replace
from sqlalchemy import TextClause, text

from services.scoring.obligations import domain
from services.scoring.obligations.deadlines import Agencies, Plan, override_of
from services.scoring.obligations.domain import Obligation
from services.scoring.obligations.facts import NOTHING, Terms
from services.scoring.obligations.standing import State
from services.scoring.obligations.store import encode_document, encode_terms
from shared.contract.addressing import asked_on
from shared.contract.events import ObligationChanged, obligation_key
from shared.postgres import bulk
from shared.postgres.database import ReadTransaction, Transaction

_FIRST_VERSION = "coalesce((SELECT first_version FROM generation), 1)"

_PLANS = {
    "regime": "text", "regime_version": "int", "period": "text", "exists_from": "date", "opens_on": "date",
    "due_on": "date", "deadline": "timestamptz", "next_at": "timestamptz", "terms": "text", "document": "text",
    "grouped": "boolean",
}  # fmt: skip
_EXISTS_WHEN_DUE = "a.closed_on IS NULL OR a.closed_on >= p.due_on"
# Or closes in the middle of the period and has an heir, to which transfers.py hands it on: it is generated first, or a
# closing that is known ahead would leave the report with nobody.
_EXISTS_OR_HANDS_ON = f"{_EXISTS_WHEN_DUE} OR (a.heir IS NOT NULL AND a.closed_on >= p.opens_on)"


_MEMBERS = (
    "unnest(CAST(:places AS bigint[]), CAST(:members AS text[]), CAST(:asked AS boolean[])) AS m (place, code, asked)"
)


def _who_owes(exists: str) -> str:
    """Who owes: shared/contract/addressing.py, in SQL; test_owing.py holds the one to the other.

    Where it takes more than kinds and codes, the rule itself has said who is asked: the rows of `members`.
    """
    return f"""
      JOIN regimes AS r ON r.code = p.regime AND r.regime_version = p.regime_version
      LEFT JOIN requests AS q ON q.request_id = p.period AND q.regime = p.regime
      JOIN agencies AS a
        ON a.opened_on <= p.exists_from AND ({exists})
       AND (a.regrouped_at IS NULL OR a.regrouped_at < p.deadline)
       AND CASE WHEN p.grouped THEN (p.place, a.code) IN (SELECT place, code FROM {_MEMBERS} WHERE asked)
                WHEN cardinality(q.agencies) > 0 THEN a.code = ANY(q.agencies)
                ELSE (a.kind = ANY(r.submitter_kinds) AND a.code <> ALL(r.submitters_except))
                     OR a.code = ANY(r.submitters) END
     WHERE (:everybody OR a.code = ANY(CAST(:codes AS text[])))
"""  # noqa: S608 - constants


# What exists is looked up by key, as a scalar subquery always is: an anti-join may read the whole table.
_GENERATE = text(f"""
    INSERT INTO obligations (obligation, agency, regime, period, version, owed, standing, overdue, deadline, next_at,
                             terms, document, opened_at)
    SELECT a.code || '/' || p.regime || '/' || p.period, a.code, p.regime, p.period, {_FIRST_VERSION}, true,
           'nothing_sent', false, p.deadline, p.next_at, CAST(p.terms AS json), CAST(p.document AS json), :now
      FROM {bulk.unnest(_PLANS, "p", place="place")} {_who_owes(_EXISTS_OR_HANDS_ON)}
       AND (SELECT true FROM obligations AS o WHERE o.obligation = a.code || '/' || p.regime || '/' || p.period) IS NULL
     ORDER BY 1 LIMIT :limit
    ON CONFLICT (obligation) DO NOTHING
    RETURNING obligation, version, CAST(terms AS text)
""")  # noqa: S608 - constants


def _unlike(source: str) -> TextClause:
    """Owed already, or owed by an agency that did not owe it before; the rest are followed as what nobody asked for.

    Each follows the plan of its deadline: that of its agency, or of the first from which it was handed on.

    One that fell when its agency closed is owed again, and handed on, once its record names an heir.
    """
    return text(f"""
        WITH p AS (SELECT * FROM {bulk.unnest(_PLANS, "p", place="place")}),
        owing AS (SELECT a.code, p.place FROM p {_who_owes(_EXISTS_OR_HANDS_ON)})
        SELECT o.obligation, o.version, CAST(o.terms AS text), CAST(o.document AS text), p.place
          FROM {source}
         WHERE CAST(o.terms AS text) <> p.terms AND o.obligation > :after
           AND (NOT p.grouped OR (p.place, coalesce(o.terms->'origins'->>0, o.agency)) IN (
                    SELECT place, code FROM {_MEMBERS}))
           AND (o.owed OR (o.terms->>'heir' IS NULL AND (o.agency, p.place) IN (SELECT code, place FROM owing)))
         ORDER BY o.obligation LIMIT :limit FOR UPDATE OF o
    """)  # noqa: S608 - constants


_UNLIKE = _unlike("p JOIN obligations AS o ON o.regime = p.regime AND o.period = p.period")
# By key: else each batch of agencies reads the obligations of all, and a first generation costs their square.
_UNLIKE_OF_AGENCIES = _unlike(
    """unnest(CAST(:codes AS text[])) AS c (code) CROSS JOIN p
      JOIN obligations AS o ON o.obligation = c.code || '/' || p.regime || '/' || p.period"""
)
_MISSING = text("""
    SELECT p.regime, p.period
      FROM unnest(CAST(:regime AS text[]), CAST(:period AS text[]), CAST(:terms AS text[])) AS p (regime, period, terms)
      LEFT JOIN plans AS d ON d.regime = p.regime AND d.period = p.period AND d.terms = p.terms
     WHERE d.regime IS NULL
""")
_PLANNED = text("""
    INSERT INTO plans (regime, period, regime_version, terms, planned_at)
    SELECT regime, period, regime_version, terms, :now
      FROM unnest(CAST(:regime AS text[]), CAST(:period AS text[]), CAST(:regime_version AS int[]),
                  CAST(:terms AS text[])) AS p (regime, period, regime_version, terms)
    ON CONFLICT (regime, period) DO UPDATE SET regime_version = excluded.regime_version, terms = excluded.terms,
        planned_at = excluded.planned_at
""")
_FORGET = text("""
    DELETE FROM plans AS d USING unnest(CAST(:regime AS text[]), CAST(:period AS text[])) AS p (regime, period)
     WHERE d.regime = p.regime AND d.period = p.period
""")
_PROGRESS = text("""
    INSERT INTO generation (started_at, complete_at, rules) VALUES (:now, :now, :rules)
    ON CONFLICT (one_row) DO UPDATE SET rules = coalesce(generation.rules, excluded.rules)
    RETURNING started_at, complete_at, rules, replan_from
""")
_REPLAN_FROM = text("""
    UPDATE generation SET rules = :rules, replan_from = least(replan_from, (
        SELECT min(least(deadline, CAST(terms->>'deadline' AS timestamptz))) FROM obligations))
    RETURNING replan_from
""")
_REBUILT = text("""
    INSERT INTO generation (started_at, complete_at, first_version)
    SELECT :started_at, :started_at, :first_version WHERE NOT EXISTS (SELECT FROM obligations)
    ON CONFLICT DO NOTHING
    RETURNING started_at
""")
_COMPLETE = text("UPDATE generation SET complete_at = greatest(complete_at, :now), replan_from = NULL")
_UNPLANNED = text("SELECT code FROM agencies WHERE NOT planned ORDER BY code LIMIT :limit FOR UPDATE SKIP LOCKED")
_AGENCIES_PLANNED = text("UPDATE agencies SET planned = :planned WHERE code = ANY(CAST(:codes AS text[]))")
_FIRST = text(f"SELECT {_FIRST_VERSION}")


@dataclass(frozen=True, slots=True)
class Opening:
    """A plan as the terms of an obligation, and how it stands before anything has come."""

    plan: Plan
    terms: Terms
    state: State


@dataclass(frozen=True, slots=True)
class Missing:
    """An obligation that a report asks for before the generator made it. Not owed: nobody asked for the report."""

    agency: str
    opening: Opening
    owed: bool
    at: datetime  # receipt of the report

    @property
    def key(self) -> str:
        return obligation_key(self.agency, self.opening.plan.regime, self.opening.plan.period)

    @property
    def terms(self) -> Terms:
        return self.opening.terms if self.owed else replace(self.opening.terms, owed=False)


@dataclass(frozen=True, slots=True)
class Progress:
    """started_at: first start; complete_at: until when everything has been generated; replan_from: see `replan`."""

    started_at: datetime
    complete_at: datetime
    replan_from: datetime | None


def terms_of(plan: Plan, policy_version: str) -> Terms:
    """The terms that a plan gives an obligation that is owed."""
    return Terms(
        regime_version=plan.regime_version,
        opens_at=plan.opens_at,
        remind_at=plan.remind_at,
        deadline=plan.deadline,
        calendar_version=plan.calendar_version,
        policy_version=policy_version,
        cutoff_from=plan.cutoff_from,
        cutoff_to=plan.cutoff_to,
        provisional=plan.provisional,
        certification=plan.certification,
        locks_at=plan.locks_at,
        grace_until=plan.grace_until,
        withdrawn_at=plan.withdrawn_at,
        override=plan.override,
    )


def follow_plan(
    obligation: Obligation, planned: Terms, notice_until: datetime, policy_of_old: str | None = None
) -> Terms:
    """The terms after a new plan: what is better always counts, what is worse only where nobody relied on the old.

    Worse is an earlier deadline or lock, a shorter grace, or a certification that was not asked for. It must leave the
    deadline ahead of `notice_until`, nothing may have come and nobody been reminded. Else the old stays; an old
    deadline with its calendar, and `policy_of_old`: the policy that governs its day by now (None: as it was).
    """
    terms, facts = obligation.terms, obligation.facts
    if terms.owed and _is_worse(planned, terms):
        relied = bool(facts.versions) or facts.reminder is not None or facts.passed_at is not None
        if relied or planned.deadline < notice_until:
            planned = at_least(planned, terms, policy_of_old or terms.policy_version)
    return terms if planned == terms else planned


def _is_worse(planned: Terms, terms: Terms) -> bool:
    """Whether the plan takes anything away that the terms give."""
    return (
        planned.deadline < terms.deadline
        or _later_lock(planned, terms) != planned.locks_at
        or (planned.grace_until or planned.deadline) < (terms.grace_until or terms.deadline)
        or (terms.certification == "none" and planned.certification != "none")
    )


def at_least(planned: Terms, terms: Terms, policy_of_old: str) -> Terms:
    """The plan with all that the terms give."""
    kept = replace(
        planned,
        locks_at=_later_lock(planned, terms),
        certification="none" if terms.certification == "none" else planned.certification,
    )
    if planned.deadline < terms.deadline:
        kept = replace(
            kept,
            deadline=terms.deadline,
            remind_at=max(planned.opens_at, terms.remind_at),
            calendar_version=terms.calendar_version,
            policy_version=policy_of_old,
        )
    grace = [until for until in (planned.grace_until, terms.grace_until) if until and until > kept.deadline]
    return replace(kept, grace_until=max(grace, default=None))


def _later_lock(planned: Terms, terms: Terms) -> datetime | None:
    """The later of both locks; None is none."""
    if planned.locks_at is None or terms.locks_at is None:
        return None
    return max(planned.locks_at, terms.locks_at)


async def progress(tx: Transaction, now: datetime, rules: str) -> Progress:
    """How far generation is. `rules` names calendar and policies in force; where they are new, all is planned again."""
    row = (await tx.execute(_PROGRESS, {"now": now, "rules": rules})).one()
    replan_from = row.replan_from
    if row.rules != rules:
        replan_from = (await tx.execute(_REPLAN_FROM, {"rules": rules})).scalar_one()
    return Progress(row.started_at, row.complete_at, replan_from)


async def rebuild(tx: Transaction, started_at: datetime, first_version: int) -> bool:
    """Begin an empty database in place of a lost one. False where it is not empty."""
    parameters = {"started_at": started_at, "first_version": first_version}
    return (await tx.execute(_REBUILT, parameters)).first() is not None


async def complete(tx: Transaction, now: datetime) -> None:
    """Everything owed as seen at `now` has been generated, and follows the rules in force."""
    await tx.execute(_COMPLETE, {"now": now})


async def unplanned_agencies(tx: Transaction, limit: int) -> list[str]:
    """Agencies that changed since their obligations were generated, locked."""
    return list((await tx.execute(_UNPLANNED, {"limit": limit})).scalars())


async def agencies_planned(tx: Transaction, codes: Sequence[str], *, planned: bool = True) -> None:
    await tx.execute(_AGENCIES_PLANNED, {"codes": list(codes), "planned": planned})


async def not_yet_planned(tx: ReadTransaction, openings: Sequence[Opening], limit: int) -> list[Opening]:
    """Those that have not been generated for all agencies with these terms, in the order given.

    Of at most `limit` periods, each with all its deadlines.
    """
    if not openings:
        return []
    periods = _by_period(openings)
    parameters = {
        "regime": [regime for regime, _ in periods],
        "period": [period for _, period in periods],
        "terms": [noted_terms(opening.terms for opening in some) for some in periods.values()],
    }
    rows = await tx.execute(_MISSING, parameters)
    missing = {(row[0], row[1]) for row in rows}
    first = [period for period in periods if period in missing][:limit]
    return [opening for period in first for opening in periods[period]]


def _by_period(openings: Sequence[Opening]) -> dict[tuple[str, str], list[Opening]]:
    """The openings of each period of a regime, which differ in their deadlines, in the order of the periods given."""
    periods: dict[tuple[str, str], list[Opening]] = {}
    for opening in openings:
        periods.setdefault((opening.plan.regime, opening.plan.period), []).append(opening)
    return {key: sorted(some, key=lambda opening: opening.plan.override) for key, some in periods.items()}


def noted_terms(terms: Iterable[Terms]) -> str:
    """The terms of a period as `plans` keeps them: of each of its deadlines a line."""
    return "\n".join(map(encode_terms, terms))


async def forget(tx: Transaction, plans: Iterable[Plan]) -> None:
    """Have these plans generated again, for every agency."""
    pairs = [(plan.regime, plan.period) for plan in plans]
    if pairs:
        await tx.execute(_FORGET, {"regime": [pair[0] for pair in pairs], "period": [pair[1] for pair in pairs]})


async def generate(
    tx: Transaction,
    openings: Sequence[Opening],
    now: datetime,
    people: Agencies,
    codes: Sequence[str] | None = None,
    *,
    limit: int,
) -> list[ObligationChanged]:
    """Insert obligations of these plans that are missing, for all agencies or for some. Returns what to publish.

    At most `limit`, in key order; fewer when none is missing any more.
    """
    if not openings:
        return []
    rows = await tx.execute(_GENERATE, _parameters(openings, people, codes) | {"now": now, "limit": limit})
    by_terms = {
        (opening.plan.regime, opening.plan.period, encode_terms(opening.terms)): opening for opening in openings
    }
    published = []
    for key, version, terms in rows:
        _, regime, period = key.split("/")
        opening = by_terms[regime, period, terms]
        made = Obligation(key, version, opening.terms, NOTHING, opening.state)
        published.append(domain.published(made, ("opened",), now))
    return published


async def lock_unlike(
    tx: Transaction,
    openings: Sequence[Opening],
    people: Agencies,
    codes: Sequence[str] | None,
    after: str,
    limit: int,
) -> list[tuple[Opening, Sequence[Any]]]:
    """Rows of obligations whose terms are not those of their plan, each with it; in key order behind `after`."""
    if not openings:
        return []
    statement = _UNLIKE if codes is None else _UNLIKE_OF_AGENCIES
    rows = await tx.execute(statement, _parameters(openings, people, codes) | {"after": after, "limit": limit})
    return [(openings[row[4] - 1], row) for row in rows]


async def planned(tx: Transaction, openings: Sequence[Opening], now: datetime) -> None:
    """Remember that these plans have been generated for every agency."""
    periods = _by_period(openings)
    parameters = {
        "regime": [regime for regime, _ in periods],
        "period": [period for _, period in periods],
        "regime_version": [some[0].plan.regime_version for some in periods.values()],
        "terms": [noted_terms(opening.terms for opening in some) for some in periods.values()],
    }
    await tx.execute(_PLANNED, parameters | {"now": now})


async def first_version(tx: ReadTransaction) -> int:
    """The version of every new obligation's first event."""
    return int((await tx.execute(_FIRST)).scalar_one())


def _parameters(openings: Sequence[Opening], people: Agencies, codes: Sequence[str] | None) -> dict[str, Any]:
    members = list(_members(openings, people, codes))
    rows = [
        (
            opening.plan.regime, opening.plan.regime_version, opening.plan.period, opening.plan.exists_from,
            opening.plan.opens_on, opening.plan.due_on, opening.state.deadline, opening.state.next_at,
            encode_terms(opening.terms), encode_document(Obligation("", 0, opening.terms, NOTHING, opening.state)),
            opening.plan.grouping is not None,
        )
        for opening in openings
    ]  # fmt: skip
    return bulk.parameters(_PLANS, rows) | {
        "everybody": codes is None, "codes": list(codes or ()),
        "places": [place for place, _, _ in members], "members": [code for _, code, _ in members],
        "asked": [is_asked for _, _, is_asked in members],
    }  # fmt: skip


def _members(
    openings: Sequence[Opening], people: Agencies, codes: Sequence[str] | None
) -> Iterator[tuple[int, str, bool]]:
    """Of each plan of a group: its place among the openings, the agencies of its deadline, whether it is asked of each.

    With those that have closed, since what they handed on keeps their deadline.
    """
    wanted = people.by_code if codes is None else sorted({*codes, *people.closed}) if openings else ()
    for place, opening in enumerate(openings, 1):
        grouping, day = opening.plan.grouping, opening.plan.exists_from
        if grouping is None:
            continue
        for code in wanted:
            agency = people.by_code.get(code)
            if agency is not None and override_of(agency, grouping, people.tree, day) == opening.plan.override:
                yield place, code, asked_on(agency, grouping, (), people.tree, day)
