"""docs/rules.md: its rule is a rule, its commands exist, and its table names every field."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from services.validator import commands
from services.validator.check import objections
from services.validator.domain import judge
from services.validator.rules.forms import compile_form
from shared.contract.events import Form, PackRule

PAGE = (Path(__file__).parents[3] / "docs" / "rules.md").read_text("utf-8")
EXAMPLE = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]


def test_the_pages_rule_is_in_order_and_does_what_the_page_says() -> None:
    form = Form.model_validate(yaml.safe_load(EXAMPLE))
    assert list(objections(form)) == []
    said = judge(compile_form(form), {"V01": "100", "V04": "101"}, {}, nil=False)
    assert [finding.message for finding in said.findings] == ["Giải ngân 101 vượt kế hoạch 100, hơn 1."]


@pytest.mark.parametrize("kind", ["check", "test", "coverage"])
def test_the_pages_commands_take_the_pages_rule(kind: str, tmp_path: Path) -> None:
    pack = tmp_path / "regime.yaml"
    pack.write_text(EXAMPLE, encoding="utf-8")
    assert f"services.validator rules {kind} regime.yaml" in PAGE
    assert commands.rules([kind, str(pack)]) == 0


def test_the_table_names_every_field_of_a_rule() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE)) | {"message_en", "fix_en"}
    fields = {field.alias or name for name, field in PackRule.model_fields.items()}
    assert fields <= named, fields - named
