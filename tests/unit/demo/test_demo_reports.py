"""The simulated agencies' reports: true ones hold every sum, spoiled ones do not, corrections follow the findings."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

import deploy.sample
from deploy.demo.people import SHARES, Duty, Plan, plan, temperaments
from deploy.demo.reports import Report, corrected, spoiled, truthful
from services.validator.domain import judge
from services.validator.rules.forms import compile_form
from shared.contract.events import Form, RegimePublished
from shared.runtime.clock import LOCAL_ZONE

REGIMES = sorted(Path(deploy.sample.__file__).parent.glob("regimes/*.yaml"))


def _form(path: Path) -> Form:
    return RegimePublished(version=1, **yaml.safe_load(path.read_text(encoding="utf-8"))).form


def flaws(form: Form, report: Report) -> list[str]:
    """An independent, simple reading of the form."""
    found = []
    values: dict[str, Decimal] = {}
    for figure in form.figures:
        text = report.figures.get(figure.code)
        try:
            value = Decimal(text or "")
        except ArithmeticError:
            found.append(figure.code)
            continue
        values[figure.code] = value
        low = figure.minimum is None or value >= figure.minimum
        high = figure.maximum is None or value <= figure.maximum
        exponent = value.as_tuple().exponent
        if not (low and high and isinstance(exponent, int) and -exponent <= figure.fraction_digits):
            found.append(figure.code)
    for rule in form.sums:
        if {rule.total, *rule.terms} <= set(values):
            difference = values[rule.total] - sum(values[term] for term in rule.terms)
            if abs(difference) > rule.tolerance:
                found.append(rule.total)
    for narrative in form.narratives:
        if not narrative.min_characters <= len(report.narratives.get(narrative.code, "")) <= narrative.max_characters:
            found.append(narrative.code)
    for table in form.tables:
        rows = report.tables.get(table.code, ())
        if not table.min_rows <= len(rows) <= table.max_rows or any(
            row.keys() != {column.code for column in table.columns} for row in rows
        ):
            found.append(table.code)
    return found


@pytest.mark.parametrize("path", REGIMES, ids=lambda path: path.stem)
def test_a_truthful_report_has_no_flaw_in_any_regime(path: Path) -> None:
    form = _form(path)
    for seed in range(50):
        assert flaws(form, truthful(form, random.Random(seed))) == []


@pytest.mark.parametrize("path", REGIMES, ids=lambda path: path.stem)
def test_validator_asks_about_no_assessment_of_a_truthful_report(path: Path) -> None:
    form = _form(path)
    compiled = compile_form(form)
    for seed in range(20):
        report = truthful(form, random.Random(seed))
        found = judge(compiled, report.figures, report.narratives, report.tables, nil=False).findings
        assert "N14" not in {finding.code for finding in found}


@pytest.mark.parametrize("path", REGIMES, ids=lambda path: path.stem)
@pytest.mark.parametrize("mistakes", [1, 2, 3])
def test_a_spoiled_report_has_flaws_and_is_put_right_by_its_findings(path: Path, mistakes: int) -> None:
    form = _form(path)
    for seed in range(30):
        rng = random.Random(seed)
        truth = truthful(form, rng)
        sent = spoiled(form, truth, mistakes, rng)
        found = flaws(form, sent)
        assert found
        texts = {narrative.code for narrative in form.narratives}
        findings = [{"path": f"/{'narratives' if code in texts else 'figures'}/{code}"} for code in found]
        again = corrected(sent, truth, findings)
        # a wrong total is found where its parts are known: a second reading may be needed
        left = flaws(form, again)
        more = [{"path": f"/{'narratives' if code in texts else 'figures'}/{code}"} for code in left]
        assert flaws(form, corrected(again, truth, more)) == []


def test_findings_that_name_no_place_change_nothing() -> None:
    form = _form(REGIMES[0])
    truth = truthful(form, random.Random(1))
    sent = spoiled(form, truth, 1, random.Random(2))
    assert corrected(sent, truth, [{"path": ""}, {"path": "/figures/NONE"}, {}]) == sent


def _duty(**changes: object) -> Duty:
    deadline = datetime(2026, 1, 18, 17, tzinfo=LOCAL_ZONE)
    values = {"obligation": "H99.101/X/2026-M01", "regime": "X", "period": "2026-M01", "deadline": deadline,
              "figures_closed_on": date(2026, 1, 14)} | changes  # fmt: skip
    return Duty(**values)  # type: ignore[arg-type]


SEEN = datetime(2025, 12, 20, tzinfo=LOCAL_ZONE)


def test_punctual_agencies_send_between_cutoff_and_deadline() -> None:
    for seed in range(200):
        made = plan("punctual", _duty(), seen_at=SEEN, nil_allowed=False, seed=seed)
        assert made.send_at is not None
        assert datetime(2026, 1, 15, tzinfo=LOCAL_ZONE) < made.send_at < _duty().deadline
        assert (made.mistakes, made.nil) == (0, False)


def test_late_sloppy_and_silent_agencies_do_what_they_are_called() -> None:
    plans: dict[str, list[Plan]] = {
        kind: [plan(kind, _duty(), seen_at=SEEN, nil_allowed=True, seed=seed) for seed in range(300)] for kind in SHARES
    }
    assert any(made.send_at is not None and made.send_at > _duty().deadline for made in plans["late"])
    assert any(made.mistakes and made.corrects for made in plans["sloppy"])
    assert any(made.mistakes and not made.corrects for made in plans["sloppy"])
    assert sum(made.send_at is None for made in plans["silent"]) > 200
    assert any(made.nil for made in plans["punctual"])
    assert not any(made.nil and made.mistakes for made in plans["sloppy"])


def test_a_duty_seen_too_late_is_still_answered() -> None:
    seen = _duty().deadline + timedelta(days=3)
    made = plan("punctual", _duty(figures_closed_on=None), seen_at=seen, nil_allowed=False, seed=1)
    assert made.send_at == seen


def test_every_temperament_occurs_and_the_seed_alone_decides() -> None:
    codes = [f"H99.{number}" for number in range(118)]
    given = temperaments(codes, 7)
    assert set(given) == set(codes)
    assert set(given.values()) == set(SHARES)
    assert given == temperaments(reversed(codes), 7) != temperaments(codes, 8)
