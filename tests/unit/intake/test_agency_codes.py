"""The older form of a code names the same agency; nothing else is touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.registry.agency_codes import newer, older, with_newer_codes


@pytest.mark.parametrize(
    ("code", "form"),
    [
        ("H99", "000.00.00.H99"),
        ("H99.01", "000.00.01.H99"),
        ("H99.10", "000.00.10.H99"),
        ("H99.01.02", "000.02.01.H99"),
        ("H99.01.02.003", "003.02.01.H99"),
        ("G09.12", "000.00.12.G09"),
    ],
)
def test_both_forms_name_one_agency(code: str, form: str) -> None:
    assert (newer(form), older(code), newer(code)) == (code, form, code)


@pytest.mark.parametrize("code", ["H99.1", "H99.001", "H99.01A", "H99.00", "H99.00.01", "h99", "", "H99.01.02.003.04"])
def test_what_does_not_fit_the_widths_has_no_older_form(code: str) -> None:
    assert older(code) is None


@pytest.mark.parametrize("form", ["000.01.00.H99", "001.00.01.H99", "00.00.01.H99", "000.00.01.H9", "٠00.00.01.H99"])
def test_what_is_no_older_form_stays_as_it_is(form: str) -> None:
    assert newer(form) == form


@given(st.from_regex(r"[A-Z][0-9]{2}(\.[0-9]{2}(\.[0-9]{2}(\.[0-9]{3})?)?)?", fullmatch=True))
def test_a_form_leads_back_to_its_code(code: str) -> None:
    form = older(code)
    assert form is None or (newer(form) == code and form.isascii())


def test_codes_are_found_where_records_hold_them() -> None:
    given = {"code": "000.00.01.H99", "parent": "000.00.00.H99", "name": "000.00.01.H99"}
    assert with_newer_codes("agency", given) == {**given, "code": "H99.01", "parent": "H99"}
    assert with_newer_codes("request", {"agencies": ["000.00.01.H99", 7, "H99.02"]})["agencies"] == [
        "H99.01",
        7,
        "H99.02",
    ]
    held = {"agency": "000.00.01.H99", "offices": [{"role": "chair", "agency": "000.00.00.H99"}, {"role": "head"}, 7]}
    assert with_newer_codes("person", held) == {
        "agency": "H99.01", "offices": [{"role": "chair", "agency": "H99"}, {"role": "head"}, 7],
    }  # fmt: skip
    assert with_newer_codes("officer", {"agency": None}) == {"agency": None}
    assert with_newer_codes("regime", ["receiver"]) == ["receiver"]
