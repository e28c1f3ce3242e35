"""The sample province's forms are forms that validator can judge by, and each can be answered."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from services.validator.domain import judge
from services.validator.rules.forms import compile_form
from shared.contract.events import Form

_REGIMES = sorted((Path(__file__).parents[3] / "deploy" / "sample" / "regimes").glob("*.yaml"))


def test_there_are_sample_regimes() -> None:
    assert len(_REGIMES) >= 6


@pytest.mark.parametrize("path", _REGIMES, ids=lambda path: path.stem)
def test_a_sample_form_compiles_and_names_what_an_empty_report_lacks(path: Path) -> None:
    form = Form.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))["form"])
    compiled = compile_form(form)
    judgement = judge(compiled, {}, {}, nil=False)
    assert compiled.required_items > 0
    assert judgement.errors == compiled.required_items == len(judgement.findings)
    assert judgement.present_items == 0
