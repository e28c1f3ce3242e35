"""Where the registry's rules change sides: the last good value and the first bad one, and what a refusal says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from services.intake.registry.gate import admit
from shared.contract.events import RegimePublished, RegistryEvent
from shared.runtime import strict_yaml
from shared.runtime.clock import LOCAL_ZONE
from shared.runtime.file_errors import FileError
from tests.integration.intake import rig
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, DISTRICT, NOW, proposed


def errors(
    *changed: RegistryEvent, without: Sequence[str] = (), stored: Sequence[RegistryEvent] = ()
) -> list[FileError]:
    keys = {record.key for record in changed} | set(without)
    base = [record for record in rig.records() if record.key not in keys]
    found = list(admit(proposed([*base, *changed]), stored, NOW).errors)
    for error in found:
        said = (error.message, error.message_en, error.fix, error.fix_en)
        assert all(said), error
        assert len(set(said)) == 4, f"one text stands for two: {error}"
    return found


def places(*changed: RegistryEvent, **how: Any) -> list[str]:
    return [error.place.split("/", 2)[-1] for error in errors(*changed, **how)]


DAY = timedelta(days=1)
ISSUED = datetime(2026, 10, 1, 8, tzinfo=LOCAL_ZONE)


@pytest.mark.parametrize(
    ("good", "bad", "place"),
    [
        (rig.agency("H99." + "9" * 31), rig.agency("H99." + "9" * 32), "code"),  # 35 characters and one more
        (rig.agency("H99.1.A"), rig.agency("H99..A"), "code"),
        (rig.agency("H99.1"), rig.agency("H99.1a"), "code"),
        (
            rig.agency("H99.03", closed_on=date(2020, 1, 1)),
            rig.agency("H99.03", closed_on=date(2019, 12, 31)),
            "closed_on",
        ),
        (rig.agency("H99.03", successors=(COMMUNE,)), rig.agency("H99.03", successors=("H99.03",)), "successors/0"),
        (
            rig.regime("X", effective_to=date(2020, 1, 1)),
            rig.regime("X", effective_to=date(2019, 12, 31)),
            "effective_to",
        ),
        (
            rig.regime("X", receiver=DISTRICT, effective_from=date(2025, 6, 30)),
            rig.regime("X", receiver=DISTRICT, effective_from=date(2025, 7, 1)),
            "receiver",
        ),
        (
            rig.regime("X", submitter_kinds=(), submitters=(COMMUNE,)),
            rig.regime("X", submitter_kinds=()),
            "submitter_kinds",
        ),
        (
            rig.request("DX-9", deadline=NOW + timedelta(microseconds=1)),
            rig.request("DX-9", deadline=NOW),
            "deadline",
        ),
        (
            rig.request("DX-9", issued_at=NOW + DAY, deadline=NOW + DAY + timedelta(seconds=1)),
            rig.request("DX-9", issued_at=NOW + DAY, deadline=NOW + DAY),
            "deadline",
        ),
        (rig.request("DX-9"), rig.request("DX-9", regime="KTXH"), "regime"),
    ],
)
def test_the_last_good_value_is_taken_and_the_first_bad_one_is_refused(
    good: RegistryEvent, bad: RegistryEvent, place: str
) -> None:
    assert places(good) == []
    assert place in places(bad)


@pytest.mark.parametrize(
    ("frequency", "rule", "fits"),
    [
        ("weekly", "weekday", True), ("weekly", "day_of_month", False), ("monthly", "weekday", False),
        ("monthly", "day_of_month", True), ("weekly", "working_days_after_cutoff", True),
        ("monthly", "working_days_after_cutoff", True), ("adhoc", "on_request", True),
        ("monthly", "on_request", False),
    ],
)  # fmt: skip
def test_a_deadlines_rule_fits_the_frequency(frequency: str, rule: str, fits: bool) -> None:
    working_days = {"working_days": 3} if rule == "working_days_after_cutoff" else {}
    found = places(rig.regime("X", frequency=frequency, deadline={"rule": rule, **working_days}))
    assert found == ([] if fits else ["deadline/rule"])


@pytest.mark.parametrize(("above", "refused"), [(20, False), (21, True)])
def test_an_agency_has_at_most_twenty_above_it(above: int, refused: bool) -> None:
    chain = [rig.agency("H88", "province")]
    for number in range(above):
        chain.append(rig.agency(f"H88.{number}", parent=chain[-1].code))
    found = errors(*chain)
    assert [error.message_en for error in found] == (["It has more than 20 agencies above it."] if refused else [])


def changed_in(count: int) -> RegimePublished:
    fields: dict[str, Any] = {
        "name": "Khác", "receiver": DEPARTMENT, "submitter_kinds": ("commune",), "legal_basis": "Khác",
        "remind_working_days": 9, "cutoff": {"day": 20},
    }  # fmt: skip
    return rig.regime(**dict(list(fields.items())[:count]))


@pytest.mark.parametrize(("count", "more"), [(1, False), (5, False), (6, True)])
def test_what_a_published_version_may_not_change_is_named_up_to_five(count: int, more: bool) -> None:
    (error,) = errors(changed_in(count), stored=(rig.regime(version=1),))
    assert ", …)" in error.message if more else ", …" not in error.message
    assert "regime_version: 2" in error.fix
    assert "replaces: 1" in error.fix_en


def test_a_reason_without_a_replacement_is_told() -> None:
    (error,) = errors(rig.regime(replaces_reason="Sai"))
    assert error.place.endswith("/replaces_reason")


def test_the_newest_replacement_is_named_where_a_version_is_replaced_more_than_once() -> None:
    def replacing(number: int) -> RegimePublished:
        return rig.regime(regime_version=number, replaces=1, replaces_reason="Sai")

    found = errors(rig.regime(), *(replacing(number) for number in range(2, 9)))
    assert len(found) == 7
    assert "is replaced twice (2, 3, 4, 5, 6, …)" in found[0].message_en
    assert [error.fix_en for error in found] == ["Replace the newest of them: replaces: 8."] * 6 + [
        "Replace the newest of them: replaces: 7."
    ]
    five = errors(rig.regime(), *(replacing(number) for number in range(2, 7)))
    assert "(2, 3, 4, 5, 6)" in five[0].message_en


def test_successors_of_a_closed_agency_are_named_in_its_stead() -> None:
    (error,) = errors(rig.request("DX-9", agencies=(DISTRICT,)))
    assert COMMUNE in error.fix
    assert COMMUNE in error.fix_en
    alone = rig.agency(DISTRICT, "district", parent="H99", closed_on=date(2025, 6, 30))
    (error,) = errors(alone, rig.request("DX-9", agencies=(DISTRICT,)))
    assert error.fix_en == "Remove it, or correct the day."


def figure(code: str, **bounds: Any) -> dict[str, Any]:
    return {"code": code, "label": code, **bounds}


def form(*figures: dict[str, Any], **others: Any) -> RegimePublished:
    return rig.regime("X", form={"figures": figures, **others})


def total(**others: Any) -> list[dict[str, Any]]:
    return [{"code": "S", "total": "T", "terms": ["A", "B"], **others}]


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (form(figure("A", minimum="1", maximum="1")), []),
        (form(figure("A", minimum="2", maximum="1")), ["form/figures/0"]),
        (form(figure("A", kind="text", max_characters=20, consolidation="last")), []),
        (form(figure("A", max_characters=20)), ["form/figures/0/max_characters"]),
        *(
            (form(figure("A", kind="text", **{name: value})), [f"form/figures/0/{name}"])
            for name, value in {
                "unit": "hộ",
                "minimum": "0",
                "maximum": "9",
                "fraction_digits": 1,
                "scale": 3,
                "consolidation": "sum",
                "key": True,
            }.items()
        ),
        (
            form(figure("T"), figure("A"), figure("B", kind="text"), sums=total()),
            ["form/sums/0/terms/1"],
        ),
        (
            form(figure("T", kind="text"), figure("A"), figure("B"), sums=total()),
            ["form/sums/0/total"],
        ),
        (form(figure("A", minimum="0.1", maximum="0.9")), ["form/figures/0"]),  # no whole number between them
        (form(figure("A", minimum="0.1", maximum="0.9", fraction_digits=1)), []),
        (form(figure("A"), figure("A")), ["form/figures/1/code"]),
        (form(figure("A"), narratives=[{"code": "A", "label": "a"}]), []),
        (form(narratives=[{"code": "n", "label": "n", "min_characters": 5, "max_characters": 5}]), []),
        (
            form(narratives=[{"code": "n", "label": "n", "min_characters": 6, "max_characters": 5}]),
            ["form/narratives/0"],
        ),
        (
            form(narratives=[{"code": "n", "label": "n", "min_characters": 0, "max_characters": 0}]),
            ["form/narratives/0/max_characters"],
        ),
        (
            form(
                figure("A"),
                narratives=[{"code": "n", "label": "n", "required": False, "min_characters": 0, "max_characters": 0}],
            ),
            [],
        ),
        # the terms reach the total's bound, and miss it by one
        (form(figure("T", maximum="10"), figure("A", minimum="6"), figure("B", minimum="4"), sums=total()), []),
        (
            form(figure("T", maximum="10"), figure("A", minimum="6"), figure("B", minimum="5"), sums=total()),
            ["form/sums/0"],
        ),
        (
            form(
                figure("T", maximum="10"), figure("A", minimum="6"), figure("B", minimum="5"), sums=total(tolerance="1")
            ),
            [],
        ),
        (
            form(
                figure("T", minimum="10"),
                figure("A", maximum="6", minimum="0"),
                figure("B", maximum="3", minimum="0"),
                sums=total(),
            ),
            ["form/sums/0"],
        ),
        (
            form(
                figure("T", minimum="10"),
                figure("A", maximum="6", minimum="0"),
                figure("B", maximum="4", minimum="0"),
                sums=total(),
            ),
            [],
        ),
        # what may be left blank adds nothing, and a total that may be blank is not compared
        (
            form(
                figure("T", maximum="10"),
                figure("A", minimum="6"),
                figure("B", minimum="5", required=False),
                sums=total(),
            ),
            [],
        ),
        (
            form(
                figure("T", maximum="10", required=False),
                figure("A", minimum="6"),
                figure("B", minimum="5"),
                sums=total(),
            ),
            [],
        ),
        (form(figure("T"), figure("A"), figure("B"), sums=total(tolerance="-1")), ["form/sums/0/tolerance"]),
        (form(figure("T"), figure("A"), figure("B"), sums=total(terms=["A", "T"])), ["form/sums/0/terms/1"]),
        (
            form(figure("T"), figure("A"), figure("B"), sums=total(terms=["A", "A", "B", "A"])),
            ["form/sums/0/terms/1", "form/sums/0/terms/3"],
        ),
        (form(figure("T"), figure("A"), figure("B"), sums=total(terms=[])), ["form/sums/0/terms"]),
        (
            form(figure("T"), figure("A"), figure("B"), sums=total(total="X", terms=["A", "Y"])),
            ["form/sums/0/total", "form/sums/0/terms/1"],
        ),
    ],
)
def test_a_form_is_refused_exactly_where_no_report_could_be_right(record: RegimePublished, found: list[str]) -> None:
    assert places(record) == found


def test_a_sum_that_never_holds_is_told_with_what_its_terms_reach() -> None:
    (error,) = errors(form(figure("T", maximum="10"), figure("A", minimum="6"), figure("B", minimum="5"), sums=total()))
    assert "its terms add up to 11 to ∞, but “T” may be -∞ to 10" in error.message_en


def read(text: str) -> strict_yaml.Document:
    return strict_yaml.read(text.encode(), "f.yaml")


def test_values_keep_what_they_mean() -> None:
    told = read(
        'a: 12\nb: -0\nc: 1.50\nd: -0.5\ne: true\nf: False\ng: ~\nh:\ni: "12"\nj: yes\nk: 2026-01-02\nl: text\n'
    )
    assert told.value == {
        "a": 12, "b": 0, "c": "1.50", "d": "-0.5", "e": True, "f": False, "g": None, "h": None, "i": "12", "j": "yes",
        "k": "2026-01-02", "l": "text",
    }  # fmt: skip
    assert (told.errors, told.whole) == ([], True)
    assert [type(told.value[name]) for name in "ac"] == [int, str]


def test_places_are_where_they_are_written_and_escaped() -> None:
    told = read("a/b:\n  - x\n  - ~y: 1\n")
    assert told.value == {"a/b": ["x", {"~y": 1}]}
    assert told.marks == {"": (1, 1), "/a~1b": (1, 1), "/a~1b/0": (2, 5), "/a~1b/1": (3, 5), "/a~1b/1/~0y": (3, 9)}


def test_so_many_levels_are_read_and_not_one_more() -> None:
    deepest = strict_yaml.MAX_DEPTH
    assert read("[" * deepest + "]" * deepest).errors == []
    (error,) = read("[" * (deepest + 1) + "]" * (deepest + 1)).errors
    assert (error.line, error.column) == (1, deepest + 1)
    assert error.place == "/0" * deepest


def test_a_number_may_have_so_many_characters_and_a_longer_one_is_a_text() -> None:
    longest = "9" * strict_yaml.MAX_NUMBER_CHARACTERS
    assert read(f"a: {longest}").value == {"a": int(longest)}
    assert read(f"a: {longest}9").errors[0].message_en.endswith("can be read as different numbers.")


def test_so_many_errors_of_a_file_are_told_and_reading_ends_there() -> None:
    few = read("".join(f"a{number}: 0x1\n" for number in range(strict_yaml.MAX_ERRORS - 1)))
    assert (len(few.errors), few.whole) == (99, True)
    many = read("".join(f"a{number}: 0x1\n" for number in range(strict_yaml.MAX_ERRORS + 9)))
    assert (len(many.errors), many.whole) == (100, False)


def test_a_file_that_ends_in_the_middle_is_told_at_its_last_line() -> None:
    told = read("a: [1,\nb: 2\n")
    assert (told.value, told.whole) == (None, False)
    assert told.errors[-1].line <= 2
    assert read("a: 'x\n").errors[-1].line == 1
