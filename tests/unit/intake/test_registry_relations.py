"""What one record says of another at the gate: of what cannot be read, of what is stored, of what closes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any

import pytest

from services.intake.registry.gate import admit
from services.intake.registry.records import Kind
from shared.contract.events import RegimePublished, RegistryEvent
from shared.runtime.file_errors import FileError
from tests.integration.intake import rig
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, DISTRICT, NOW, OFFICE, proposed


def errors(
    *changed: RegistryEvent, stored: Sequence[RegistryEvent] = (), unread: Collection[Kind] = ()
) -> list[FileError]:
    keys = {record.key for record in changed}
    base = [record for record in rig.records() if record.key not in keys]
    found = list(admit(proposed([*base, *changed]), stored, NOW, unread=unread).errors)
    for error in found:
        assert len({error.message, error.message_en, error.fix, error.fix_en} - {"", None}) == 4, error
    return found


def places(*changed: RegistryEvent, **how: Any) -> list[str]:
    return [error.place.split("/", 2)[-1] for error in errors(*changed, **how)]


def overriding(*overrides: dict[str, Any], **changes: Any) -> RegimePublished:
    made = rig.regime("X", submitter_kinds=("commune",), **changes)
    deadline = {"rule": "day_of_month", "day": 20, "overrides": overrides}
    return RegimePublished.model_validate(made.model_dump() | {"deadline": deadline})


MORE: dict[str, Any] = {"extra_working_days": 3, "reason": "Xã đảo"}
LOST = "H99.404"


@pytest.mark.parametrize(
    ("record", "place", "kind"),
    [
        (rig.agency("H99.03", parent=LOST), "parent", "agency"),
        (rig.agency("H99.03", parents=[{"code": LOST, "since": "2026-01-01"}]), "parents/0/code", "agency"),
        (rig.agency("H99.03", successors=(LOST,)), "successors/0", "agency"),
        (rig.officer("cb-x", LOST), "agency", "agency"),
        (rig.officer("cb-x", DEPARTMENT, regimes=("NONE",)), "regimes/0", "regime"),
        (rig.regime("X", receiver=LOST), "receiver", "agency"),
        (rig.regime("X", submitters=(LOST,)), "submitters/0", "agency"),
        (rig.regime("X", submitters_except=(LOST,)), "submitters_except/0", "agency"),
        (rig.regime("X", submitter_parents=(LOST,)), "submitter_parents/0", "agency"),
        (overriding({"agencies": [COMMUNE, LOST], **MORE}), "deadline/overrides/0/agencies/1", "agency"),
        (overriding({"parents": ["H99", LOST], **MORE}), "deadline/overrides/0/parents/1", "agency"),
        (rig.request("DX-9", regime="NONE"), "regime", "regime"),
        (rig.request("DX-9", agencies=(LOST,)), "agencies/0", "agency"),
    ],
)
def test_what_may_stand_in_a_file_that_cannot_be_read_is_not_missed(
    record: RegistryEvent, place: str, kind: Kind
) -> None:
    assert places(record) == [place]
    assert places(record, unread=[kind]) == []
    other: Kind = "regime" if kind == "agency" else "agency"
    assert places(record, unread=[other, "officer", "person", "request"]) == [place]


@pytest.mark.parametrize(
    ("record", "place"),
    [
        (rig.agency("H99.03", successors=("H99.03",)), "successors/0"),
        (rig.regime("X", form={"figures": [{"code": "A", "label": "A"}], "sums": [
            {"code": "S", "total": "Z", "terms": ["A"]}]}), "form/sums/0/total"),
    ],
)  # fmt: skip
def test_what_no_other_record_could_mend_is_told_whatever_cannot_be_read(record: RegistryEvent, place: str) -> None:
    assert places(record, unread=["agency", "regime", "officer", "person", "request"]) == [place]


def test_what_is_proposed_counts_in_the_place_of_what_is_stored_however_often_that_changed() -> None:
    closed = rig.agency(DISTRICT, "district", parent="H99", closed_on=date(2025, 6, 30), version=10**6)
    living = rig.agency(DISTRICT, "district", parent="H99")
    asking = rig.regime("X", receiver=DISTRICT, effective_from=date(2025, 7, 1))
    assert places(living, asking, stored=[closed]) == []
    assert places(asking, stored=[living.model_copy(update={"version": 10**6})])[-1] == "receiver"


def test_an_agency_that_is_refused_is_not_called_wrong_by_those_that_name_it() -> None:
    refused = rig.agency("H99.03", name="a\nb", parent="H99")
    naming = rig.regime("X", submitters_except=("H99.03",), receiver="H99.03")
    assert places(refused, naming) == ["name"]


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"form": {"figures": [{"code": "A01", "label": "Khác", "fraction_digits": 2}]}}, "form/figures/0/label"),
        ({"form": {"figures": []}}, "form/figures"),
        ({"receiver": DEPARTMENT}, "receiver"),
        ({"deadline": {"rule": "day_of_month", "day": 20}}, "deadline/day"),
        ({"effective_to": date(2030, 1, 1)}, "effective_to"),
    ],
)
def test_the_first_thing_that_a_published_version_would_change_is_named(changed: dict[str, Any], place: str) -> None:
    narratives = [{"code": "danh_gia", "label": "Đánh giá"}]
    if "form" in changed:
        changed = {"form": {**changed["form"], "narratives": narratives}}
    (error,) = errors(rig.regime(**changed), stored=[rig.regime(version=1)])
    assert error.place.endswith(f"/{place}")
    assert f"({place})" in error.message
    assert f"({place})" in error.message_en
    assert "regime_version: 2" in error.fix_en
    assert "`replaces: 1`" in error.fix


def test_a_parent_must_still_be_there_when_the_regime_begins() -> None:
    below = rig.agency("H99.91", "commune", parent=DISTRICT)
    fits = rig.regime("X", submitter_kinds=(), submitter_parents=(DISTRICT,), effective_from=date(2025, 6, 30))
    assert places(below, fits) == []
    late = fits.model_copy(update={"effective_from": date(2025, 7, 1)})
    assert places(below, late) == ["submitter_parents/0"]


def test_five_successors_are_named_in_the_stead_of_who_has_closed() -> None:
    heirs = tuple(f"H99.6{number}" for number in range(6))
    closed = rig.agency(DISTRICT, "district", parent="H99", closed_on=date(2025, 6, 30), successors=heirs)
    (error,) = errors(closed, *map(rig.agency, heirs), rig.request("DX-9", agencies=(DISTRICT,)))
    for text in (error.fix, error.fix_en):
        assert f"({', '.join(heirs[:5])})" in text


def test_a_request_that_is_stored_may_not_take_in_who_has_closed_since() -> None:
    stored = rig.request("DX-9", agencies=(DISTRICT,), version=1)
    both = stored.model_copy(update={"agencies": (DISTRICT, COMMUNE)})
    assert places(both, stored=[stored]) == []
    other = rig.agency("H99.92", "district", closed_on=date(2025, 6, 30))
    assert places(other, both.model_copy(update={"agencies": (DISTRICT, "H99.92")}), stored=[stored]) == ["agencies/1"]
    moved = both.model_copy(update={"deadline": stored.deadline.replace(hour=18)})
    assert places(moved, stored=[stored]) == ["agencies/0"]


def test_a_form_says_how_large_the_smallest_complete_report_by_it_is() -> None:
    figures = [
        {"code": "A01", "label": "A"},
        {"code": "A02", "label": "A"},
        {"code": "B", "label": "B", "required": False},
        {"code": "T1", "label": "T", "kind": "text"},
        {"code": "U1", "label": "U", "kind": "text", "required": False},
    ]
    narratives: list[dict[str, Any]] = [{"code": f"n{number:02}", "label": "n", "min_characters": 20_000}
                                        for number in range(14)]  # fmt: skip
    narratives.append({"code": "o", "label": "o", "min_characters": 20_000, "required": False})
    (error,) = errors(rig.regime("X", form={"figures": figures, "narratives": narratives}))
    envelope, of_figures, of_text = 300, 2 * len('"A01":0,') + len('"T1":0,'), len('""')
    least = envelope + of_figures + of_text + 14 * (len('"n00":"",') + 20_000)
    assert f"at least {least} bytes" in error.message_en
    assert f"ít nhất {least} byte" in error.message


@pytest.mark.parametrize(("most", "refused"), [(f"2{'0' * 29}2", False), (f"2{'0' * 29}1", True)])
def test_bounds_of_sums_are_added_to_the_last_digit(most: str, refused: bool) -> None:
    one = f"1{'0' * 29}1"
    figures = [{"code": "T", "label": "T", "maximum": most}, *(
        {"code": code, "label": code, "minimum": one} for code in "AB"
    )]  # fmt: skip
    summed = rig.regime("X", form={"figures": figures, "sums": [{"code": "S", "total": "T", "terms": ["A", "B"]}]})
    assert places(summed) == (["form/sums/0"] if refused else [])


def closing(code: str, **more: Any) -> RegistryEvent:
    return rig.agency(code, parent="H99", closed_on=date(2026, 12, 31), **more)


def test_who_takes_duties_over_on_the_day_after_must_be_there_on_it() -> None:
    def handing(heir: RegistryEvent) -> list[str]:
        return places(heir, closing(DEPARTMENT, open_obligations="transfer", successors=("H99.70",)))

    assert handing(rig.agency("H99.70", opened_on=date(2027, 1, 1))) == []
    assert handing(rig.agency("H99.70", opened_on=date(2027, 1, 2))) == ["successors/0"]
    dissolved: dict[str, Any] = {"open_obligations": "withdraw", "closing_reason": "Giải thể"}
    assert handing(rig.agency("H99.70", closed_on=date(2027, 1, 1), **dissolved)) == []
    assert handing(rig.agency("H99.70", closed_on=date(2026, 12, 31), **dissolved)) == ["closed_on", "successors/0"]


def test_only_the_first_successor_takes_duties_over() -> None:
    heirs = ("H99.70", "H99.71")
    found = places(
        rig.agency("H99.70"), rig.agency("H99.71", opened_on=date(2028, 1, 1)),
        closing(DEPARTMENT, open_obligations="transfer", successors=heirs),
    )  # fmt: skip
    assert found == []


def test_an_officer_who_is_not_on_duty_needs_no_address() -> None:
    assert places(rig.officer("cb-x", OFFICE, email="", active=False)) == []
    assert places(rig.officer("cb-x", OFFICE, email="")) == ["email"]


def test_a_number_of_levels_and_of_days_above_an_agency_is_looked_at_day_by_day() -> None:
    """They form a circle on one day in the middle alone, which none of the records begins with."""
    one = rig.agency("H99.80", parent="H99", parents=[
        {"code": "H99.81", "since": "2026-03-01"}, {"code": "H99", "since": "2026-05-01"},
    ])  # fmt: skip
    other = rig.agency("H99.81", parent="H99", parents=[
        {"code": "H99.80", "since": "2026-04-01"}, {"code": "H99", "since": "2026-06-01"},
    ])  # fmt: skip
    assert places(one, other) == ["parents/0", "parents/0"]
    apart = other.model_copy(update={"parents": (other.parents[0].model_copy(update={"since": date(2026, 5, 1)}),
                                                 other.parents[1])})  # fmt: skip
    assert places(one, apart) == []
