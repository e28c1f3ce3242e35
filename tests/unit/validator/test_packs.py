"""Rules of a form: what they say of a report, what is refused before they are published, and the analyst's commands."""

from __future__ import annotations

import json
import random
import unicodedata
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from deploy.demo.reports import truthful
from services.validator import commands
from services.validator.check import objections, remarks
from services.validator.domain import Earlier, Judgement, after_history, judge
from services.validator.formula import Field, Type, bind, effort, parse
from services.validator.rules.catalogue import RULES
from services.validator.rules.forms import CompiledForm, compile_form
from services.validator.rules.pack_compiler import Elsewhere, PackError, compile_pack, names_of
from services.validator.rules.pack_tests import flaws_of
from shared.contract.events import Form, NarrativeField, Tier
from shared.contract.ids import new_id
from tests.programs import pack_mutants

REGIMES = sorted((Path(__file__).parents[3] / "deploy" / "sample" / "regimes").glob("*.yaml"))
TEXTS = {
    "message": "A là {[A]}, B là {[B]}.",
    "message_en": "A is {[A]}, B is {[B]}.",
    "fix": "Ghi {expected}; lệch {difference}.",
    "fix_en": "Write {expected}; off by {difference}.",
}


def rule(**given: Any) -> dict[str, Any]:
    tested = {"tests": [{"figures": {"A": "1", "B": "1"}}]}
    return {
        "id": "QT-01",
        "tier": "consistency",
        "severity": "error",
        "assert": "[A] = [B]",
        **TEXTS,
        **tested,
        **given,
    }


def form(*rules: dict[str, Any], required: bool = False) -> Form:
    figures = [{"code": code, "label": code, "required": required, "fraction_digits": 2} for code in ("A", "B", "C")]
    columns = [
        {"code": "TEN", "label": "Tên", "type": "text", "required": False},
        {"code": "SO", "label": "Số", "type": "integer", "required": False},
    ]
    tables = [{"code": "T", "label": "Bảng", "required": False, "columns": columns}]
    return Form.model_validate({"figures": figures, "tables": tables, "rules": list(rules)})


def judged(
    compiled: CompiledForm, figures: dict[str, str | None], rows: list[dict[str, str | None]] | None = None, **more: Any
) -> Judgement:
    return judge(compiled, figures, {}, {"T": rows} if rows else {}, nil=False, **more)


def test_a_rule_that_does_not_hold_says_what_was_provided_and_expected_with_its_operands() -> None:
    said = judged(compile_form(form(rule(legal_basis="Điều 1"))), {"A": "5.50", "B": "3"})
    (finding,) = said.findings
    assert (said.outcome, finding.code, finding.tier, finding.severity) == ("returned", "QT-01", "consistency", "error")
    assert (finding.path, finding.provided, finding.expected, finding.difference) == ("/figures/A", "5.5", "3", "2.5")
    assert (finding.message, finding.message_en) == ("A là 5.5, B là 3.", "A is 5.5, B is 3.")
    assert (finding.fix, finding.fix_en) == ("Ghi 3; lệch 2.5.", "Write 3; off by 2.5.")
    assert (finding.legal_basis, finding.explain) == ("Điều 1", None)


def rows_of(texts: str, *, back: bool = False, max_rows: int = 2_000) -> Form:
    """A form with one rule for each row of its table."""
    given = rule(table="T", id="QT-07", **{"assert": f"{texts} >= {'PREV([A])' if back else '0'}"}, tests=[{}])
    table = form(rule(), given).tables[0].model_copy(update={"max_rows": max_rows})
    return form(rule(), given).model_copy(update={"tables": (table,)})


def refusal(given: Form) -> list[tuple[str, str]]:
    return [(found.pointer, found.message_en) for found in objections(given)]


def test_rules_that_take_too_long_for_a_report_with_the_most_rows_are_refused() -> None:
    roots = "+".join(["[T.SO]^0.37"] * 4)
    ((place, message),) = refusal(rows_of(roots))
    assert place == "/form/rules/1"
    assert "at most 3000000 are allowed. The heaviest is QT-07" in message
    assert refusal(rows_of(roots, max_rows=500)) == []  # control: the same rule for fewer rows
    assert refusal(rows_of("[T.SO]^2+[T.SO]^2+[T.SO]^2")) == []  # and without roots


def test_passes_over_a_table_count_once_a_report_and_not_for_each_row() -> None:
    assert refusal(rows_of("SUM([T.SO])")) == []
    whole = rule(**{"assert": "+".join(["SUM([T.SO]^0.37)"] * 3) + ">=0"}, tests=[{}])
    ((place, message),) = refusal(form(whole))
    assert (place, "take" in message) == ("/form/rules/0", True)


def test_rules_that_look_back_may_take_less() -> None:
    text = "+".join(["[T.SO]"] * 60)
    ((_, message),) = refusal(rows_of(text, back=True))
    assert "The rules with PREV, YOY, REF, CHILDREN_SUM take" in message
    assert refusal(rows_of(text)) == []  # control: asked before the transaction opens
    assert refusal(rows_of("[T.SO]", back=True)) == []


def test_formulas_that_are_too_long_in_all_are_refused_before_they_are_compiled() -> None:
    long = "+".join(["[A]"] * 450)
    rules = [rule(id=f"QT-{number}", **{"assert": f"{long}=[B]", "when": f"{long}>0"}) for number in range(30)]
    ((place, message),) = refusal(form(*rules))
    assert (place, "at most 100000 are allowed" in message) == ("/form/rules", True)
    assert refusal(form(*rules[:1])) != [(place, message)]


@pytest.mark.parametrize(
    ("text", "each", "once"),
    [
        ("[A] + 1", 3, 0),
        ("[A] ^ 2", 12, 0),
        ("[A] ^ 0.5", 502, 0),
        ("SUM([T.SO] + [A])", 11, (3 + 10) * 50),
        ("LOWER([N])", 551, 0),
        ('CONTAINS([N]; "a")', 552, 0),
        ('CONTAINS([N]; "a"; "b")', 1_103, 0),
        ('COUNTIF([T.TEN]; "a")', 102, 11 * 50),
    ],
)
def test_steps_of_a_formula(text: str, each: int, once: int) -> None:
    names = names_of(form(rule()).model_copy(update={"narratives": (NarrativeField(code="N", label="N"),)}))
    assert effort(bind(parse(text), names)[0].root, names, {"T": 50}) == (each, once)


def test_a_rule_that_holds_says_nothing() -> None:
    assert judged(compile_form(form(rule())), {"A": "3.00", "B": "3"}).findings == ()


@pytest.mark.parametrize(
    ("severity", "outcome", "shown", "explain"),
    [
        ("error", "returned", "error", None),
        ("confirm", "accepted", "warning", True),
        ("info", "accepted", "warning", None),
    ],
)
def test_each_severity_does_what_it_says(severity: str, outcome: str, shown: str, explain: bool | None) -> None:
    said = judged(compile_form(form(rule(severity=severity))), {"A": "1", "B": "2"})
    (finding,) = said.findings
    assert (said.outcome, finding.severity, finding.weight, finding.explain) == (outcome, shown, severity, explain)


def test_a_rule_that_lacks_a_figure_is_skipped_unless_it_says_that_a_blank_counts_as_nothing() -> None:
    assert judged(compile_form(form(rule())), {"A": "5"}).findings == ()
    assert [
        finding.code for finding in judged(compile_form(form(rule(missing="never_skip"))), {"A": "5"}).findings
    ] == ["QT-01"]
    whole = rule(**{"assert": "[A] = [B] + [C]", "missing": "skip_if_all_missing"})
    assert judged(compile_form(form(whole)), {"A": "5"}).findings == ()
    assert len(judged(compile_form(form(whole)), {"A": "5", "B": "4"}).findings) == 1


def test_a_figure_that_could_not_be_read_has_its_own_finding_alone() -> None:
    said = judged(compile_form(form(rule(missing="never_skip"))), {"A": "năm", "B": "2"})
    assert [finding.code for finding in said.findings] == ["V01"]


def test_what_cannot_be_evaluated_is_said_once_and_stops_no_other_rule() -> None:
    rules = [rule(id=f"QT-{number}", **{"assert": "[A] / [C] = [B]"}) for number in (1, 2)]
    said = judged(compile_form(form(*rules, rule(id="QT-3"))), {"A": "1", "B": "2", "C": "0"})
    assert [finding.code for finding in said.findings] == ["QT-3", "K03"]
    assert "QT-1, QT-2" in said.findings[1].message
    assert said.errors == 1


def test_a_rule_that_only_informs_says_nothing_where_it_cannot_be_evaluated() -> None:
    for severity, told in (("info", []), ("confirm", ["K03"])):
        asked = rule(severity=severity, **{"assert": "[A] / [C] = [B]"})
        said = judged(compile_form(form(asked)), {"A": "1", "B": "2", "C": "0"})
        assert [finding.code for finding in said.findings] == told, severity


def test_a_tolerance_excuses_and_no_more_than_that() -> None:
    compiled = compile_form(form(rule(tolerance="0.5"), rule(id="QT-02", tolerance_percent="10")))
    assert judged(compiled, {"A": "100.5", "B": "100"}).findings == ()
    assert [finding.code for finding in judged(compiled, {"A": "100.51", "B": "100"}).findings] == ["QT-01"]
    assert [finding.code for finding in judged(compiled, {"A": "110.01", "B": "100"}).findings] == ["QT-01", "QT-02"]


def test_a_share_that_a_tolerance_excuses_is_not_rounded() -> None:
    """At 28 digits, Python's default, the share would be 10 % and excuse nothing beyond it."""
    compiled = compile_form(form(rule(tolerance_percent="10.0000000000000000000000000001")))
    assert judged(compiled, {"A": f"{11 * 10**29 + 1}", "B": f"{10**30}"}).findings == ()


@pytest.mark.parametrize(
    ("operator", "figures", "fires"),
    [
        ("less_than", {"A": "2", "B": "2"}, True),
        ("less_than_or_equal_to", {"A": "2", "B": "2"}, False),
        ("compulsory_pair", {"A": "2"}, True),
        ("compulsory_pair", {}, False),
        ("exclusive_pair", {"A": "2", "B": "2"}, True),
        ("exclusive_pair", {"B": "2"}, False),
    ],
)
def test_dhis2s_shape_is_a_rule_like_any_other(operator: str, figures: dict[str, str | None], fires: bool) -> None:
    shape = {"left": {"expression": "[A]"}, "operator": operator, "right": {"expression": "[B]"}, "assert": ""}
    assert bool(judged(compile_form(form(rule(**shape))), figures).errors) is fires


def test_a_rule_of_rows_names_the_row_and_counts_those_beyond_the_listed() -> None:
    of_rows = rule(
        table="T", row=["TEN"], message="số {[T.SO]}", message_en="number {[T.SO]}", fix="Sửa.", fix_en="Correct.",
        **{"assert": "[T.SO] >= 0"}, tests=[{"tables": {"T": [{"SO": 1}]}}],
    )  # fmt: skip
    rows: list[dict[str, str | None]] = [{"TEN": f"dòng {n}", "SO": str(5 - n)} for n in range(30)]
    said = judged(compile_form(form(of_rows)), {}, rows)
    assert said.errors == 21
    assert said.findings[0].path == "/tables/T/6"
    assert said.findings[0].message == "Bảng T, dòng 7 (dòng 6): số -1"
    assert said.findings[-1].difference == "4"


def test_rules_of_some_periods_are_asked_in_those_alone() -> None:
    compiled = compile_form(form(rule(since="2026-04-01", until="2026-06-30")))
    fires = {
        period: bool(judged(compiled, {"A": "1", "B": "2"}, period=period).errors)
        for period in ("2026-M03", "2026-M04", "2026-Q2", "2026-M06", "2026-M07", "2026-W30", "DX-1")
    }
    assert [period for period, fired in fires.items() if fired] == ["2026-M04", "2026-Q2", "2026-M06", "DX-1"]


def test_a_nil_report_is_asked_no_rule() -> None:
    given = form(rule(missing="never_skip", **{"assert": "[A] > 0"}, tests=[{"figures": {"A": 1}}]))
    compiled = compile_form(given.model_copy(update={"nil_allowed": True}))
    assert judge(compiled, {}, {}, nil=True).findings == ()


def test_the_order_of_the_rules_changes_no_finding() -> None:
    rules = [rule(id=f"QT-{number}", **{"assert": f"[A] + {number} = [B]"}) for number in range(6)]
    codes = {}
    for seed in range(5):
        random.Random(seed).shuffle(rules)
        said = judged(compile_form(form(*rules)), {"A": "1", "B": "2"})
        codes[seed] = sorted((finding.code, finding.message) for finding in said.findings)
    assert all(found == codes[0] for found in codes.values())
    assert len(codes[0]) == 5


def test_rules_that_look_back_wait_for_the_earlier_report_and_return_nobody_for_its_absence() -> None:
    back = rule(message="trước {PREV([A])}", message_en="before {PREV([A])}", **{"assert": "[A] >= PREV([A])"})
    compiled = compile_form(form(back | {"tests": [{"figures": {"A": 1}, "previous": {"A": 1}}]}))
    figures: dict[str, str | None] = {"A": "5"}
    first = judged(compiled, figures)
    assert (first.outcome, first.findings, first.rule_pack) == (
        "accepted",
        (),
        compiled.pack and compiled.pack.checksum,
    )
    waiting = replace(first, looks_back=compiled.pack)
    alone = after_history(waiting, figures, "2026-M03", None, None)
    assert (alone.outcome, [finding.code for finding in alone.findings], alone.compared_with) == (
        "accepted",
        ["K03"],
        (),
    )
    earlier = Earlier(new_id(), {"A": "6"})
    compared = after_history(waiting, figures, "2026-M03", earlier, None)
    assert (compared.outcome, compared.findings[0].message) == ("returned", "trước 6")
    assert compared.compared_with == (earlier.submission_id,)


@pytest.mark.parametrize(
    ("wrong", "place", "said"),
    [
        ({"assert": "[A] = [Z]"}, "/form/rules/0/assert", "[A] = [Z]\n      ^^^"),
        ({"assert": "[A] = "}, "/form/rules/0/assert", "^"),
        ({"assert": "[A] + 1"}, "/form/rules/0/assert", "đúng hoặc sai"),
        ({"when": "[Z] > 0"}, "/form/rules/0/when", "^^^"),
        ({"id": "K01"}, "/form/rules/0/id", "dạng mã có sẵn"),
        ({"tests": []}, "/form/rules/0/tests", "phép thử"),
        ({"at": "Z"}, "/form/rules/0/at", "chỉ tiêu Z"),
        ({"table": "Z"}, "/form/rules/0/table", "bảng Z"),
        ({"message": "{[Z]}"}, "/form/rules/0/message", "[Z]"),
        ({"tolerance": "-1"}, "/form/rules/0/tolerance", "âm"),
        ({"assert": "CHILDREN_SUM([A]) = [A]"}, "/form/rules/0/severity", "CHILDREN_SUM"),
        ({"left": {"expression": "[A]"}}, "/form/rules/0", "operator"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_place(wrong: dict[str, Any], place: str, said: str) -> None:
    found = list(objections(form(rule(**wrong))))
    assert place in {objection.pointer for objection in found}
    assert said in "".join(objection.message for objection in found)
    with pytest.raises(PackError):
        compile_pack(form(rule(**wrong)))


def test_a_rule_that_does_not_do_what_its_test_says_is_refused() -> None:
    lying = rule(tests=[{"figures": {"A": 1, "B": 2}}, {"figures": {"A": 1, "B": 2}, "fires": ["QT-01"]}])
    found = [(objection.pointer, objection.message) for objection in objections(form(lying))]
    assert [place for place, _ in found] == ["/form/rules/0/tests/0/fires", "/form/rules/0/tests/1/verdict"]
    assert list(objections(form(rule()))) == []


def test_an_example_that_its_own_rules_return_is_refused() -> None:
    def objected(**figures: str) -> list[tuple[str, str]]:
        shown = form(rule(), required=True).model_copy(update={"example": figures})
        return [(objection.pointer, objection.message.partition(":")[0]) for objection in objections(shown)]

    assert objected(A="1", B="1", C="2") == []
    assert objected(A="1", B="3", C="2") == [("/form/example", "Ví dụ của biểu mẫu bị QT-01")]
    assert [place for place, _ in objected(A="1", B="1")] == ["/form/example"]


def test_no_rule_of_a_form_can_take_a_built_in_code() -> None:
    for code in RULES:
        assert any(objection.pointer.endswith("/id") for objection in objections(form(rule(id=code)))), code


def sample(path: Path) -> Form:
    return Form.model_validate(yaml.safe_load(path.read_text("utf-8"))["form"])


@pytest.mark.parametrize("path", REGIMES, ids=lambda path: path.stem)
def test_the_samples_rules_pass_their_tests_and_each_is_fired_and_let_pass_by_one(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(objections(sample(path))) == []
    assert commands.rules(["check", str(path)]) == 0
    assert commands.rules(["test", str(path)]) == 0
    assert commands.rules(["coverage", str(path)]) == 0, capsys.readouterr().out


def test_the_sample_has_rules_of_many_kinds() -> None:
    rules = [found for path in REGIMES for found in sample(path).rules]
    assert len(rules) >= 60
    assert {found.severity for found in rules} == {"error", "confirm", "info"}
    by_tier = Counter(found.tier for found in rules)
    assert min(by_tier[tier] for tier in get_args(Tier)) >= 3, by_tier


@pytest.mark.parametrize("path", REGIMES, ids=lambda path: path.stem)
def test_truthful_reports_of_the_demo_satisfy_every_rule_that_returns_or_asks(path: Path) -> None:
    given = sample(path)
    compiled = compile_form(given)
    for seed in range(100):
        report = truthful(given, random.Random(seed))
        said = judge(compiled, report.figures, report.narratives, report.tables, nil=False)
        assert (said.outcome, [finding for finding in said.findings if finding.explain]) == ("accepted", []), seed


def test_a_changed_operator_or_constant_makes_a_test_of_the_samples_fail() -> None:
    """The packs' own tests are worth something: of all changed formulas nearly all are found."""
    asked, survived = pack_mutants.survivors({path.stem: sample(path) for path in REGIMES}, sample=150)
    assert asked >= 100
    assert 1 - len(survived) / asked >= pack_mutants.WANTED, survived


def test_rules_whose_tests_look_at_nothing_let_their_mutants_survive() -> None:
    """Negative control."""
    asked, survived = pack_mutants.survivors({"x": form(rule(tests=[{"figures": {}}]))})
    assert len(survived) == asked > 0


def test_explain_shows_what_a_rule_computed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"figures": {"V01": "300", "V04": "100", "V07": "34"}}), encoding="utf-8")
    path = next(path for path in REGIMES if path.stem == "gndt-thang")
    assert commands.rules(["explain", str(path), str(report)]) == 0
    shown = capsys.readouterr().out
    assert "GN-02: BÁO / FIRES" in shown
    assert "PCT([V04]; [V01]) = 33.33333" in shown
    assert "→ returned" in shown


def test_check_names_the_line_and_marks_the_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = next(path for path in REGIMES if path.stem == "gndt-thang")
    wrong = tmp_path / "regime.yaml"
    text = path.read_text("utf-8").replace('assert: "[V04] <= [V01]"', 'assert: "[V04] <= [V0l]"')
    wrong.write_text(text, encoding="utf-8")
    assert commands.rules(["check", str(wrong)]) == 1
    shown = capsys.readouterr().out
    line = next(number for number, words in enumerate(text.splitlines(), 1) if "[V0l]" in words)
    assert f"regime.yaml:{line} /form/rules/0/assert" in shown
    assert "[V04] <= [V0l]\n             ^^^^^" in shown


def test_flaws_of_a_test_are_those_of_the_pack_alone() -> None:
    given = form(rule(), required=True)
    pack = compile_pack(given)
    assert pack is not None
    assert flaws_of(pack, given.rules[0].tests[0]) == []


def pack_file(folder: Path, *rules: dict[str, Any]) -> Path:
    figures = [{"code": code, "label": code, "required": False, "minimum": "0", "maximum": "9"} for code in ("A", "B")]
    path = folder / "form.yaml"
    path.write_text(yaml.safe_dump({"figures": figures, "rules": list(rules)}), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("when", "asserts", "what"),
    [
        ("[A] > 5", "[A] > 3", "always"),  # it finds fault with none
        ("[A] > 5", "[A] < 3", "never"),  # with every report
        ("[A] > 9", "[B] > 3", "never"),  # it is never asked
        ("", "[A] = SUM([A]; [B])", "holds"),
        ("", "[A] >= 0", "always"),  # by its bounds
    ],
)
def test_a_rule_that_certainly_says_nothing_is_refused_where_it_is(
    when: str, asserts: str, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = rule(when=when, **{"assert": asserts}, tests=[{"figures": {}}])
    path = pack_file(tmp_path, wrong)
    assert commands.rules(["check", str(path)]) == 1
    shown = capsys.readouterr().out
    assert what in shown
    assert "^" in shown
    found = list(objections(Form.model_validate(yaml.safe_load(path.read_text("utf-8")))))
    assert [objection.pointer.rpartition("/")[0] for objection in found] == ["/form/rules/0"]
    assert not any(objection.remark for objection in found)


@pytest.mark.parametrize(("asserts", "number"), [("[A] <= SUM([B]; [B])", 1), ("[A] <= SUM([B]; 2)", 0)])
def test_what_a_rule_may_not_mean_is_remarked_on_and_published(
    asserts: str, number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loose = rule(**{"assert": asserts}, tests=[{"figures": {"A": "6", "B": "4"}}])
    path = pack_file(tmp_path, loose)
    assert commands.rules(["check", str(path)]) == 0
    assert capsys.readouterr().out.count("lưu ý / remark") == number
    form = Form.model_validate(yaml.safe_load(path.read_text("utf-8")))
    assert list(objections(form)) == []
    assert [(objection.pointer, objection.remark) for objection in remarks(form)] == [
        ("/form/rules/0/assert", True)
    ] * number


def test_a_rule_may_speak_of_a_narrative_and_points_to_it() -> None:
    asks = rule(
        tier="narrative", severity="confirm", when="[A] > 0", at="N",
        **{"assert": 'AND(WORDS([N]) >= 4; CONTAINS([N]; "nguyên nhân"; "do "))'},
        message="{WORDS([N])} tiếng.", message_en="{WORDS([N])} words.", fix="Sửa.", fix_en="Mend.",
        tests=[{"figures": {"A": "1"}, "narratives": {"N": "Nguyên nhân là thiếu người."}},
               {"figures": {"A": "1"}, "narratives": {"N": "Đã làm xong việc."}, "fires": ["QT-01"],
                "verdict": "to_explain"}],
    )  # fmt: skip
    given = form(asks).model_copy(update={"narratives": (NarrativeField(code="N", label="n", required=False),)})
    assert list(objections(given)) == []
    compiled = compile_form(given)
    (found,) = judge(compiled, {"A": "1"}, {"N": "Chưa  rõ"}, nil=False).findings
    assert (found.path, found.message, found.provided, found.explain) == ("/narratives/N", "2 tiếng.", None, True)
    # NFD and capitals are the same words; a narrative that is not given says nothing, and so does the rule
    decomposed = unicodedata.normalize("NFD", "NGUYÊN NHÂN là thiếu người")
    for narratives in ({"N": decomposed}, {}, {"N": " "}):
        assert judge(compiled, {"A": "1"}, narratives, nil=False).findings == ()


OTHER = 'REF("BC"; [X1]) = [A]'


def test_what_a_rule_names_of_another_regime_is_held_against_its_form_at_publishing() -> None:
    given = form(rule(**{"assert": OTHER}, tests=[{"figures": {"A": 1}, "reports": {"BC": {"X1": 1}}}]))
    assert list(objections(given)) == []
    known = {"BC": {"X1": Field(Type.NUMBER)}}
    assert list(objections(given, Elsewhere(known))) == []
    for regimes, said in (({}, "BC"), ({"BC": {"X2": Field(Type.NUMBER)}}, "X1")):
        (found,) = objections(given, Elsewhere(regimes))
        assert found.pointer == "/form/rules/0/assert"
        assert said in found.message


@pytest.mark.parametrize(
    ("reports", "fires", "verdict"), [({"BC": {"X1": 1}}, [], "accepted"), ({"BC": {"X1": 2}}, ["QT-01"], "returned"),
                                      ({}, [], "accepted"), ({"BC": {}}, [], "accepted")],
)  # fmt: skip
def test_a_test_of_a_rule_says_what_other_regimes_reports_hold(
    reports: dict[str, Any], fires: list[str], verdict: str
) -> None:
    test = {"figures": {"A": 1}, "reports": reports, "fires": fires, "verdict": verdict}
    assert list(objections(form(rule(**{"assert": OTHER}, tests=[test])))) == []
    wrong = test | {"fires": [] if fires else ["QT-01"]}
    assert len(list(objections(form(rule(**{"assert": OTHER}, tests=[wrong]))))) == 1


def test_a_range_within_another_report_is_refused() -> None:
    found = list(objections(form(rule(**{"assert": 'SUM(REF("BC"; [X1]:[X3])) = [A]'}))))
    assert any("dải" in objection.message for objection in found)
