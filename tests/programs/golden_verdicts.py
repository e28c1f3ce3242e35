"""python -m tests.programs.golden_verdicts: write again what the engine says of the golden reports, on purpose.

A test compares the file whole, so that no change of a rule, a word or the engine goes unseen: look at its diff.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml

from services.validator.domain import Earlier, Judgement, after_history, judge
from services.validator.references import NO_REFERENCES, References, reference_of
from services.validator.rules.forms import CompiledForm, compile_form
from shared.contract.events import ReferenceTablePublished
from shared.contract.period import PeriodError, last_day, parse
from tests.programs.pack_mutants import forms_in

_ROOT = Path(__file__).parents[2]
REGIMES = _ROOT / "deploy" / "sample" / "regimes"
REPORTS = _ROOT / "tests" / "unit" / "validator" / "golden" / "reports.yaml"
VERDICTS = REPORTS.with_name("verdicts.yaml")
_EARLIER = UUID(int=1)
_MERGED = ("figures", "narratives", "tables")


def reports() -> list[dict[str, Any]]:
    """The golden reports, each whole."""
    whole: dict[str, dict[str, Any]] = {}
    for given in yaml.safe_load(REPORTS.read_text("utf-8")):
        base = whole[given["like"]] if "like" in given else {}
        merged = {name: {**base.get(name, {}), **given.get(name, {})} for name in _MERGED}
        if given.get("only"):  # nothing of the other but for its regime and period
            merged = {name: given.get(name, {}) for name in _MERGED}
        for code in given.get("without", ()):
            del merged["figures"][code]
        whole[given["name"]] = {**base, "nil": False, **given, **merged}
    return list(whole.values())


def verdict(form: CompiledForm, report: dict[str, Any]) -> dict[str, Any]:
    """What is said of the report, without what says nothing."""
    said = judge(
        form, report["figures"], report["narratives"], report["tables"], nil=report["nil"], period=report["period"],
        references=_references(report["period"]),
    )  # fmt: skip
    if form.pack is not None and form.pack.looks_back and not report["nil"]:
        said = _looked_back(form, report, said)
    return {
        "name": report["name"],
        "outcome": said.outcome,
        "to_explain": said.to_explain,
        "errors": said.errors,
        "warnings": said.warnings,
        "present": f"{said.present_items}/{said.required_items}",
        "findings": [finding.model_dump(mode="json", exclude_none=True) for finding in said.findings],
    }


@cache
def _published() -> tuple[ReferenceTablePublished, ...]:
    given = yaml.safe_load((REGIMES.parent / "references.yaml").read_text("utf-8"))
    return tuple(ReferenceTablePublished.model_validate({**table, "version": 1}) for table in given["references"])


def _references(period: str) -> References:
    """The sample's reference tables as of the period."""
    try:
        day = last_day(parse(period))
    except PeriodError:
        return NO_REFERENCES
    in_force = {table.code: table for table in _published() if table.effective_from <= day}
    return References({code: reference_of(table.columns, table.rows) for code, table in in_force.items()})


def _looked_back(form: CompiledForm, report: dict[str, Any], said: Judgement) -> Judgement:
    earlier = {
        name: None if report.get(name) is None else Earlier(_EARLIER, report[name]) for name in ("previous", "year_ago")
    }
    return after_history(
        replace(said, looks_back=form.pack),
        report["figures"],
        report["period"],
        earlier["previous"],
        earlier["year_ago"],
        others={regime: Earlier(_EARLIER, figures) for regime, figures in report.get("reports", {}).items()},
        given_narratives=report["narratives"],
        given_tables=report["tables"],
    )


def text() -> str:
    """The file of verdicts as it should be."""
    forms = {name: compile_form(form) for name, form in forms_in(REGIMES).items()}
    verdicts = [verdict(forms[report["regime"]], report) for report in reports()]
    head = "# Written by python -m tests.programs.golden_verdicts: what is said of each report of reports.yaml.\n"
    return head + yaml.safe_dump(verdicts, allow_unicode=True, sort_keys=False, width=120)


if __name__ == "__main__":
    VERDICTS.write_text(text(), encoding="utf-8")
    print(f"{VERDICTS.relative_to(_ROOT)}: {len(reports())}")
