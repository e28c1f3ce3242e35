"""`check`: whether reports could be judged by a regime's form. The compiler and the judgement are those of `serve`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

from services.validator.domain import judge
from services.validator.rules.forms import FormError, compile_form
from shared.contract.checking import Look, Objection, main
from shared.contract.events import Form, RegimePublished, RegistryEvent


def command(arguments: Sequence[str]) -> int:
    """The command `check`; as `python -m …check` it starts without the rest of the service."""
    return main("validator", checker, arguments)


def checker(look: Look) -> Callable[[RegistryEvent], Iterable[Objection]]:
    return _check


def _check(record: RegistryEvent) -> Iterator[Objection]:
    if not isinstance(record, RegimePublished):
        return
    try:
        compiled = compile_form(Form.model_validate_json(record.form.model_dump_json()))  # as it is stored and read
    except FormError as error:
        yield Objection(
            "/form",
            f"Không kiểm tra được báo cáo nào theo biểu mẫu này: {error}.",
            f"No report could be judged by this form: {error}.",
            "Sửa biểu mẫu.",
            "Correct the form.",
        )
        return
    judge(compiled, {}, {}, nil=False)
    judge(compiled, {}, {}, nil=True)
    judge(compiled, dict.fromkeys(compiled.figure_codes, "1"), dict.fromkeys(compiled.narrative_codes, "…"), nil=False)
    rows = {table.code: [dict.fromkeys(table.column_codes, "?")] for table in compiled.tables}
    judge(compiled, {}, {}, rows, nil=False)


if __name__ == "__main__":
    raise SystemExit(command(sys.argv[1:]))
