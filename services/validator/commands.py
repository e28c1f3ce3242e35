"""`rules check|test|explain|coverage PACK`: an analyst's own tools for the rules of a form. Needs no database.

PACK is the file of a regime (its `form` holds the `rules`), or a form alone. What is checked is what publishing checks.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from services.validator.check import objections, remarks
from services.validator.rules.pack_compiler import PackError, compile_pack
from services.validator.rules.pack_tests import flaws_of, run_tests, verdict_of
from services.validator.rules.packs import Explained, Pack
from shared.contract.events import Form, RuleTest
from shared.contract.events.fields import AT_THE_GATE
from shared.runtime.arguments import CommandParser
from shared.runtime.english import counted
from shared.runtime.file_errors import MAX_PLACE_CHARACTERS
from shared.runtime.hidden_characters import shown
from shared.runtime.strict_yaml import read
from shared.service.model_files import sentence_of
from shared.web.validation import pointer_of

#: the line of a place in the file
_Line = Callable[[str], int]


def rules(arguments: Sequence[str]) -> int:
    """0: nothing is wrong; 1: something is; 2: the file cannot be read."""
    parser = CommandParser(prog="python -m services.validator rules", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="check | test | explain | coverage")
    helps = {
        "check": "biên dịch quy tắc và chạy phép thử / compile the rules and run their tests",
        "test": "kết quả từng phép thử / the result of each test",
        "explain": "vì sao quy tắc báo trên một báo cáo / why rules fire on a report",
        "coverage": "quy tắc chưa có phép thử nào làm báo / rules that no test fires",
    }
    for kind, words in helps.items():
        command = kinds.add_parser(kind, help=words)
        command.add_argument("pack", type=Path, help="tệp chế độ báo cáo (YAML) / the regime's file")
        if kind == "explain":
            command.add_argument("report", type=Path, help="báo cáo (JSON: figures, tables) / the report")
    asked = parser.parse_args(list(arguments))
    try:
        form, line = _read(asked.pack)
        report = _report(asked.report) if asked.kind == "explain" else RuleTest()
    except (OSError, ValueError, RecursionError) as error:
        sys.stderr.write(f"Không đọc được tệp / the file cannot be read: {error}\n")
        return 2
    if asked.kind == "check":
        return _check(asked.pack, form, line)
    try:
        pack = compile_pack(form)
    except PackError:
        return _check(asked.pack, form, line)
    if pack is None:
        _out("Biểu mẫu không có quy tắc nào. / The form has no rules.")
        return 0
    match asked.kind:
        case "test":
            return _test(form, pack)
        case "coverage":
            return _coverage(form, pack)
    return _explain(pack, report)


def _check(path: Path, form: Form, line: _Line) -> int:
    wrong = 0
    for objection in objections(form):
        wrong += 1
        _out(f"{path}:{line(objection.pointer)} {objection.pointer}")
        for text in (objection.message, objection.message_en):
            _out("  " + text.replace("\n", "\n    "))
    if not wrong:
        for remark in remarks(form):
            _out(f"{path}:{line(remark.pointer)} {remark.pointer} lưu ý / remark")
            for text in (remark.message, remark.message_en):
                _out("  " + text.replace("\n", "\n    "))
        tests = sum(len(rule.tests) for rule in form.rules)
        said_en = f"{counted(len(form.rules), 'rule')}, {counted(tests, 'test')}"
        _out(f"{len(form.rules)} quy tắc, {tests} phép thử: đạt. / {said_en}: all good.")
    return 1 if wrong else 0


def _test(form: Form, pack: Pack) -> int:
    failed = {test.place.rpartition("/")[0]: test for test in run_tests(form, pack)}
    for place, rule in enumerate(form.rules):
        for number, test in enumerate(rule.tests):
            found = failed.get(f"/form/rules/{place}/tests/{number}")
            _out(f"{'SAI ' if found else 'đạt '} {rule.id} {number + 1} {test.name}")
            if found:
                _out(f"     {found.message}\n     {found.message_en}")
    return 1 if failed else 0


def _coverage(form: Form, pack: Pack) -> int:
    """Each rule is to fire in one of its tests, and to keep silent in another."""
    fired: set[str] = set()
    silent: set[str] = set()
    for rule in form.rules:
        for test in rule.tests:
            codes = {flaw.rule.code for flaw in flaws_of(pack, test)}
            (fired if rule.id in codes else silent).add(rule.id)
    for said, said_en, covered in (
        ("không phép thử nào làm báo", "no test fires it", fired),
        ("không phép thử nào cho qua", "no test lets it pass", silent),
    ):
        for rule in form.rules:
            if rule.id not in covered:
                _out(f"{rule.id}: {said} / {said_en}")
    whole = len(fired & silent)
    _out(f"{whole}/{len(form.rules)} quy tắc có phép thử báo và phép thử qua / rules with a test of each kind")
    return 0 if whole == len(form.rules) else 1


def _explain(pack: Pack, report: RuleTest) -> int:
    for explained in pack.explain(report):
        _out(_explained(explained))
    _out(f"→ {verdict_of(flaws_of(pack, report))}")
    return 0


def _explained(explained: Explained) -> str:
    lines = [f"{explained.id}: {explained.answer}"]
    lines += [f"    {name} = {value}" for name, value in explained.values]
    return "\n".join(lines)


def _read(path: Path) -> tuple[Form, _Line]:
    """The form, and the line of a place in a regime (`/form/rules/0`). Raises ValueError with every fault."""
    document = read(path.read_bytes(), str(path))
    if document.errors:
        raise ValueError("\n" + "\n".join(map(str, document.errors)))
    if not isinstance(document.value, dict):
        raise ValueError(f"{path}: không phải chế độ báo cáo / is no regime")
    alone = "form" not in document.value

    def line(place: str) -> int:
        return document.line(place.removeprefix("/form") if alone else place)

    form = document.value if alone else document.value["form"]
    try:
        # as publishing reads it
        return Form.model_validate_json(json.dumps(form), strict=True, extra="forbid", context=AT_THE_GATE), line
    except ValidationError as error:
        faults = [
            f"{path}:{line(place)} {shown(place, MAX_PLACE_CHARACTERS)}\n  {sentence_of(fault)}"
            for fault in error.errors()
            for place in ["/form" + pointer_of(fault["loc"])]
        ]
        raise ValueError("\n" + "\n".join(faults)) from None


def _out(text: str) -> None:
    sys.stdout.write(text + "\n")


def _report(path: Path) -> RuleTest:
    return RuleTest.model_validate(json.loads(path.read_text(encoding="utf-8")))
