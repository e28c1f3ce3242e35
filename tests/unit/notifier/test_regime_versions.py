"""Which regime versions are told, to whom, and what the letter says has changed for that agency."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.notifier.planning.directory import Agency, Directory, Officer
from services.notifier.regimes.content import content_of
from services.notifier.regimes.domain import MAX_LISTED_ITEMS, Told, Version, changes, notice, to_tell, told
from services.notifier.templates.words import change_words
from shared.contract.events import RegimePublished
from shared.contract.hierarchy import Parents, Tree

NOW = datetime(2026, 10, 19, 10, 0, tzinfo=UTC)
TODAY = date(2026, 10, 19)


def regime(number: int = 1, **changed: Any) -> RegimePublished:
    base: dict[str, Any] = {
        "code": "BC-THANG", "regime_version": number, "name": "Báo cáo tháng", "frequency": "monthly",
        "effective_from": "2027-01-01", "receiver": "H99", "deadline": {"rule": "day_of_month", "day": 18},
        "form": {}, "submitter_kinds": ["commune"], "version": number,
    }  # fmt: skip
    return RegimePublished.model_validate({**base, **changed})


def version(of: RegimePublished) -> Version:
    return Version(of.code, of.regime_version, of.effective_from, content_of(of))


def figures(*codes: str, **changed: Any) -> dict[str, Any]:
    return {"figures": [{"code": code, "label": f"Chỉ tiêu {code}", **changed} for code in codes]}


@pytest.mark.parametrize(
    ("effective_from", "known", "days_ago", "expected"),
    [
        ("2027-01-01", False, 0, True),  # ahead, also of a new regime
        ("2026-10-19", False, 0, False),  # a registry that is read for the first time
        ("2026-01-01", True, 0, True),  # in the place of what was known, looking back
        ("2027-01-01", True, 31, False),  # told long ago
    ],
)
def test_a_version_is_told_ahead_and_looking_back_only_where_one_was_known(
    effective_from: str, *, known: bool, days_ago: int, expected: bool
) -> None:
    one = regime(2, effective_from=effective_from)
    assert to_tell(one, NOW - timedelta(days=days_ago), NOW, TODAY, known=known) is expected


def test_a_version_that_is_over_is_not_told() -> None:
    one = regime(2, effective_from="2026-01-01", effective_to="2026-09-30")
    assert not to_tell(one, NOW, NOW, TODAY, known=True)


def test_officer_and_head_of_those_who_report_are_told_each_once_and_nobody_else() -> None:
    agencies = [
        Agency("H99", "Tỉnh", kind="province"),
        Agency("H99.X1", "Xã 1", above=Parents("H99"), kind="commune"),
        Agency("H99.X2", "Xã 2", above=Parents("H99"), kind="commune"),
        Agency("H99.X3", "Xã 3", above=Parents("H99"), kind="commune", closed_on=date(2026, 12, 31)),
        Agency("H99.12", "Sở", above=Parents("H99"), kind="department"),
    ]
    officers = [
        Officer("any", "H99.X1", "An", "", "an@x.example", "reporting_officer"),
        Officer("named", "H99.X1", "Bình", "", "binh@x.example", "reporting_officer", ("BC-THANG",)),
        Officer("head", "H99.X1", "Chi", "", "chi@x.example", "head"),
        Officer("left", "H99.X2", "Dung", "", "dung@x.example", "reporting_officer", (), active=False),
        Officer("gone", "H99.X3", "Em", "", "em@x.example", "head"),
        Officer("other", "H99.12", "Giang", "", "giang@x.example", "head"),
    ]
    directory = Directory.of(agencies, officers)
    tree = Tree({agency.code: agency.above for agency in agencies})
    found = told(version(regime()), [agency.code for agency in agencies], directory, tree, date(2027, 1, 1))
    assert [(one.agency, one.officer and one.officer.officer_id, one.skipped) for one in found] == [
        ("H99.X1", "named", ""), ("H99.X1", "head", ""), ("H99.X2", None, "no_reporting_officer"),
    ]  # fmt: skip
    assert all(isinstance(one, Told) for one in found)


def test_the_letter_says_what_was_added_removed_and_changed_and_the_deadline_of_this_agency() -> None:
    before = version(regime(1, form=figures("A01", "A02", "A03")))
    deadline = {
        "rule": "day_of_month", "day": 15,
        "overrides": [{"agencies": ["H99.X1"], "extra_working_days": 3, "reason": "Xa."}],
    }  # fmt: skip
    form = {"figures": [*figures("A02")["figures"], *figures("A03", unit="triệu đồng")["figures"],
                        *figures("A09")["figures"]]}  # fmt: skip
    after = version(regime(2, form=form, deadline=deadline, certification="head"))
    said = changes(after, before, "H99.X1", "commune", ("H99",))
    assert [[item["code"] for item in said[name]] for name in ("added", "removed", "changed")] == [
        ["A09"], ["A01"], ["A03"],
    ]  # fmt: skip
    assert [(line[0], line[1]) for line in change_words(said)] == [
        ("Hạn nộp", "17:00 ngày 15 của tháng cuối kỳ; nếu là ngày nghỉ thì vào ngày làm việc kế tiếp; thêm 3 ngày "
                    "làm việc. Trước đây: 17:00 ngày 18 của tháng cuối kỳ; nếu là ngày nghỉ thì vào ngày làm việc kế "
                    "tiếp."),
        ("Ký xác nhận", "Thủ trưởng cơ quan phải ký xác nhận."),
        ("Thêm mục", "Chỉ tiêu A09 (A09)."),
        ("Bỏ mục", "Chỉ tiêu A01 (A01)."),
        ("Sửa mục", "Chỉ tiêu A03 (A03)."),
    ]  # fmt: skip
    others = changes(after, before, "H99.X2", "commune", ("H99",))
    assert others["deadline"]["extra_working_days"] == 0


def test_long_lists_are_counted_and_nothing_is_claimed_of_a_version_that_is_not_known() -> None:
    form = figures(*(f"A{number:02}" for number in range(MAX_LISTED_ITEMS + 4)))
    said = changes(version(regime(2, form=form)), version(regime(1)), "H99.X1", "commune", ())
    assert (len(said["added"]), said["added_left_out"]) == (MAX_LISTED_ITEMS, 4)
    unknown = changes(version(regime(2, form=form)), Version("BC-THANG", 1, TODAY, None), "H99.X1", "commune", ())
    assert not unknown["compared"]
    assert change_words(unknown) == []


def test_the_letter_names_the_version_its_reason_and_every_other_change() -> None:
    before = version(regime(1, effective_from="2026-01-01"))
    after = version(
        regime(
            2, frequency="quarterly", cutoff={"day": 20}, replaces=1, replaces_reason="Sai kỳ",
            effective_from="2026-01-01",
        )
    )  # fmt: skip
    said = changes(after, before, "H99.X1", "commune", ())
    assert (said["version"], said["before"], said["reason"]) == (2, 1, "Sai kỳ")
    assert (said["frequency"], said["frequency_before"], said["cutoff"]["day"]) == ("quarterly", "monthly", 20)
    assert (said["certification"], said["deadline_before"]) == ("", None)
    same = changes(before, before, "H99.X1", "commune", ())
    assert (same["frequency_before"], same["cutoff"], same["reason"], same["frequency"]) == ("", None, "", "monthly")
    alone = changes(before, None, "H99.X1", "commune", ())
    assert (alone["before"], alone["compared"]) == (None, False)
    assert [alone[f"{name}{end}"] for name in ("added", "removed", "changed") for end in ("", "_left_out")] == [
        [], 0, [], 0, [], 0,
    ]  # fmt: skip


def test_each_agency_hears_of_its_own_deadline_old_and_new() -> None:
    later = {"rule": "day_of_month", "day": 25}
    deadline = {
        "rule": "day_of_month", "day": 18, "overrides": [
            {"kinds": ["commune"], "deadline": later, "reason": "Xa."},
            {"parents": ["H99.05"], "extra_working_days": 2, "reason": "Đảo."},
        ],
    }  # fmt: skip
    before, after = (
        version(regime(1, deadline={"rule": "day_of_month", "day": 18})),
        version(regime(2, deadline=deadline)),
    )

    def heard(agency: str, kind: str, above: tuple[str, ...]) -> tuple[Any, ...]:
        said = changes(after, before, agency, kind, above)
        old = said["deadline_before"]
        return said["deadline"]["day"], said["deadline"]["extra_working_days"], old and old["day"]

    assert heard("H99.X1", "commune", ("H99",)) == (25, 0, 18), "of its kind"
    assert heard("H99.X2", "commune", ("H99.05", "H99")) == (18, 2, 18), "of whom it stands below"
    assert heard("H99.12", "department", ("H99",)) == (18, 0, None), "the regime's own, as before"
    assert changes(after, before, "H99.X1", "commune", ())["deadline"]["rule"] == "day_of_month"


def test_a_version_that_ends_today_still_counts_and_one_told_to_nobody_names_nobody() -> None:
    one = regime(2, effective_from="2026-01-01", effective_to=TODAY.isoformat())
    assert to_tell(one, NOW, NOW, TODAY, known=True)
    assert to_tell(one, NOW - timedelta(days=30), NOW, TODAY, known=True), "published thirty days ago to the second"
    agencies = [Agency("H99.X1", "Xã 1", above=Parents("H99.05"), kind="commune"), Agency("H99.05", "Huyện", kind="")]
    tree = Tree({agency.code: agency.above for agency in agencies})
    head = Officer("head", "H99.X1", "Chi", "Chủ tịch", "chi@x.example", "head")
    directory = Directory.of(agencies, [head])
    below = version(regime(submitter_kinds=[], submitter_parents=["H99.05"]))
    assert [one.agency for one in told(below, ["H99.X1", "H99.05"], directory, tree, TODAY)] == ["H99.X1"]
    empty = Version("BC-THANG", 1, TODAY, None)
    assert told(empty, ["H99.X1"], directory, tree, TODAY) == [], "whom it asks is not known"


def test_the_letter_is_of_the_agency_and_the_version_and_greets_the_person() -> None:
    agency = Agency("H99.X1", "Xã 1", name_en="Commune 1", above=Parents("H99.05"), kind="commune")
    head = Officer("head", "H99.X1", "Chi", "Chủ tịch", "chi@x.example", "head")
    directory = Directory.of([agency], [head])
    deadline = {
        "rule": "day_of_month", "day": 18,
        "overrides": [{"parents": ["H99.05"], "extra_working_days": 2, "reason": "Đảo."}],
    }  # fmt: skip
    after = version(regime(2, deadline=deadline))
    tree = Tree({"H99.X1": Parents("H99.05")})
    made = notice(Told("H99.X1", head), after, None, directory, tree, NOW)
    assert (made.obligation, made.period, made.step, made.kind) == (
        "H99.X1/BC-THANG/version/2", "version/2", "regime/2", "regime",
    )  # fmt: skip
    assert (made.agency, made.regime, made.officer, made.at, made.skipped) == ("H99.X1", "BC-THANG", head, NOW, None)
    facts = made.facts
    assert (facts.recipient_name, facts.recipient_title) == ("Chi", "Chủ tịch")
    assert (facts.agency, facts.agency_name, facts.agency_name_en) == ("H99.X1", "Xã 1", "Commune 1")
    assert (facts.regime, facts.regime_version, facts.period) == ("BC-THANG", 2, "version/2")
    assert facts.regime_change is not None
    assert facts.regime_change["deadline"]["extra_working_days"] == 2, "its own deadline, by who stands above it"
    nobody = notice(Told("H99.X1", None, "no_reporting_officer"), after, None, directory, tree, NOW)
    assert (nobody.skipped, nobody.officer, nobody.facts.recipient_name, nobody.facts.recipient_title) == (
        "no_reporting_officer", None, "", "",
    )  # fmt: skip
