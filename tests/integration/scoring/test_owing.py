"""The statement that generates obligations says the same as the pure rule of who owes a report, at every boundary."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import product
from typing import Any

import pytest
from sqlalchemy import text

from services.scoring import registry
from services.scoring.obligations import generator
from services.scoring.obligations.deadlines import Agencies, Agency, Plan, owes, plan_period, plan_request
from services.scoring.obligations.facts import NOTHING
from services.scoring.obligations.generator import Opening, terms_of
from services.scoring.obligations.standing import stand
from shared.contract.period import parse
from tests.integration.scoring.rig import Rig, agency, local, regime, request
from tests.unit.scoring.samples import CALENDAR, POLICY

NOW = local(2026, 10, 1, 8)
ISSUED, DEADLINE = local(2026, 10, 5, 23), local(2026, 10, 9, 17)
#: when figures close and reports are due: of the month, and of the requests
FROM, DUE = (date(2026, 10, 14), date(2026, 10, 5)), (date(2026, 10, 19), date(2026, 10, 9))

#: a department, another one below the same province, and one from which agencies move away
PARENTS = ("P1", "P2", "P3")

Owed = set[tuple[str, str, str]]


def around(days: tuple[date, ...]) -> list[date]:
    return [day + timedelta(days=shift) for day in days for shift in (-1, 0, 1)]


def everybody() -> list[Agency]:
    """Agencies that just exist and just do not, of each kind and below each parent; every other one is named by code"""
    lives = product(("commune", "department"), around(FROM), (None, *around(DUE)), PARENTS)
    return [
        Agency(f"A{number:03}", kind, opened_on, closed_on)  # type: ignore[arg-type]
        for number, (kind, opened_on, closed_on, _) in enumerate(lives)
    ]


def above(number: int) -> dict[str, Any]:
    """Who stands above the agency of this place: the last of PARENTS moves on the first day on which figures close."""
    return {"parent": PARENTS[number % 3], "parents": ({"code": "P1", "since": FROM[0]},) if number % 3 == 2 else ()}


async def filled(rig: Rig) -> tuple[list[Opening], Agencies, Owed]:
    """Fill the registry with everything that decides; returns the plans and what is owed by the pure rule."""
    people = everybody()
    named = tuple(person.code for person in people[::2])
    excepted = tuple(person.code for person in people[::3])
    kinds = ((), ("commune",), ("department",), ("commune", "department"))
    groups = [
        *product(kinds, ((), named), ((), excepted), ((),)),
        *product(((), ("commune",)), (named,), (excepted,), (("P1", "P3"), ("P0",))),
    ]
    for number, (submitter_kinds, submitters, without, parents) in enumerate(groups):
        changes: dict[str, Any] = {
            "submitter_kinds": submitter_kinds, "submitters": submitters, "submitters_except": without,
            "submitter_parents": parents,
        }  # fmt: skip
        await rig.registry(
            regime(f"M{number}", **changes),
            regime(f"X{number}", frequency="adhoc", deadline={"rule": "on_request"}, **changes),
            request(f"DX-2026-{number}1", regime=f"X{number}", issued_at=ISSUED, deadline=DEADLINE),
            request(f"DX-2026-{number}2", regime=f"X{number}", issued_at=ISSUED, deadline=DEADLINE, agencies=named),
        )
    await rig.registry(
        *(
            agency(
                person.code, kind=person.kind, opened_on=person.opened_on, closed_on=person.closed_on, **above(number)
            )
            for number, person in enumerate(people)
        ),
        *(agency(code, parent="P0", opened_on=date(2027, 1, 1)) for code in PARENTS[:2]),
    )
    async with rig.database.read_transaction() as snapshot:
        regimes = {code: versions[0] for code, versions in (await registry.read_regimes(snapshot)).items()}
        requests = await registry.read_requests(snapshot)
        known = await registry.read_everybody(snapshot)
    plans = [
        (published, None, plan_period(published, parse("2026-M10"), CALENDAR))
        for published in regimes.values()
        if published.frequency == "monthly"
    ] + [
        (regimes[request.regime], request, plan_request(regimes[request.regime], request, CALENDAR))
        for request in requests.values()
    ]
    assert {(plan.exists_from, plan.due_on) for _, _, plan in plans} == set(zip(FROM, DUE, strict=True))
    owed = {
        (person.code, plan.regime, plan.period)
        for (version, asked, plan), person in product(plans, people)
        if owes(person, version, plan, known.tree, asked)
    }
    return [_opening(plan) for _, _, plan in plans], known, owed


def _opening(plan: Plan) -> Opening:
    terms = terms_of(plan, POLICY.version)
    return Opening(plan, terms, stand(terms, NOTHING, POLICY, CALENDAR).state)


async def generated(rig: Rig, openings: list[Opening], known: Agencies) -> Owed:
    async with rig.database.engine.connect() as tx:  # rolled back
        told = await generator.generate(tx, openings, NOW, known, limit=100_000)
    return {(event.agency, event.regime, event.period) for event in told}


async def test_what_the_statement_generates_is_what_is_owed_and_nothing_less(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    openings, known, owed = await filled(rig)
    assert len(openings) * len(everybody()) > len(owed) > 0
    assert await generated(rig, openings, known) == owed
    # negative control: each condition, off by a day or left out, shows
    right = str(generator._GENERATE)
    for said, other in (
        ("a.opened_on <= p.exists_from", "a.opened_on < p.exists_from"),
        ("a.closed_on >= p.due_on", "a.closed_on > p.due_on"),
        ("cardinality(q.agencies) > 0", "false"),
        ("a.kind = ANY(r.submitter_kinds) AND", ""),
        ("AND a.code <> ALL(r.submitters_except)", ""),
        ("OR a.code = ANY(r.submitters)", ""),
        ("WHEN p.grouped THEN", "WHEN false THEN"),
    ):
        assert said in right
        monkeypatch.setattr(generator, "_GENERATE", text(right.replace(said, other)))
        assert await generated(rig, openings, known) != owed, other
