"""What is said of an envelope that is refused: the place, the reason that holds, and a cure that works."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest

from services.intake.registry.records import Registry
from services.intake.submissions.admission import MAX_ANSWERING, Admitted, Closed, Refused, Windows, check
from shared.contract.events import Deadline, RegistryEvent
from shared.reports.report_parser import Report
from shared.runtime.clock import LOCAL_ZONE
from shared.web.errors import FieldError
from tests.integration.intake import rig
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, DISTRICT, OFFICE


def registry(*more: RegistryEvent) -> Registry:
    found = Registry()
    for record in (*rig.records(), *more):
        found.put(record)
    return found


def judged(
    *more: RegistryEvent,
    agency: str = DEPARTMENT,
    now: datetime = rig.NOW,
    windows: Windows | None = None,
    **fields: Any,
) -> Admitted | Closed | Refused:
    asked = {"regime": "KTXH", "period": "2026-M10", "officer": "cb-01", **fields}
    report = Report(nil="declines" in fields, figures={}, narratives={}, **asked)
    return check(report, agency, registry(*more), now, windows)


def errors(*more: RegistryEvent, **fields: Any) -> tuple[FieldError, ...]:
    found = judged(*more, **fields)
    assert isinstance(found, Refused)
    for error in found.errors:
        said = (error.message, error.message_en, error.fix, error.fix_en)
        assert all(said), error
        assert len(set(said)) == 4, f"one text stands for two: {error}"
    return found.errors


def only(*more: RegistryEvent, **fields: Any) -> FieldError:
    (error,) = errors(*more, **fields)
    return error


REQUEST = {"regime": "THIENTAI", "period": "DX-2026-009"}


@pytest.mark.parametrize(
    ("more", "fields", "pointer", "vi", "en"),
    [
        ((), {"regime": "NONE"}, "/regime", "“NONE”", "no reporting regime “NONE”"),
        ((), {"period": "2026-M13"}, "/period", "kỳ báo cáo của KTXH", "“2026-M13” is not a period of KTXH: "),
        ((), {"period": "2026-W10"}, "/period", "kỳ báo cáo của KTXH", "“2026-W10” is not a period of KTXH."),
        ((), REQUEST, "/period", "“DX-2026-009” theo chế độ THIENTAI", "no request “DX-2026-009” under regime"),
        ((), {"period": "2019-M12"}, "/period", "KTXH không có hiệu lực trong kỳ 2019-M12", "is not in force for"),
        ((), {"agency": OFFICE, "officer": ""}, "/regime", f"{OFFICE} không thuộc diện gửi báo cáo KTXH", "KTXH"),
        ((), {"regime": "THIENTAI", "period": "DX-2026-002"}, "/regime", "báo cáo DX-2026-002", "submit DX-2026-002"),
        (
            (rig.request("DX-2026-009", withdrawn_at=rig.NOW),), REQUEST,
            "/period", "DX-2026-009 đã được rút", "DX-2026-009 was withdrawn",
        ),
        (
            (rig.request("DX-2026-009", deadline=datetime(2026, 9, 1, tzinfo=LOCAL_ZONE)),), REQUEST,
            "/period", "DX-2026-009 có thời hạn trước lúc ban hành", "DX-2026-009 has a deadline before it was issued",
        ),
        (
            (rig.request("DX-2026-009", regime="OTHER"),), REQUEST,
            "/period", "“DX-2026-009” theo chế độ THIENTAI", "no request “DX-2026-009” under regime THIENTAI",
        ),
        (
            (rig.agency(DEPARTMENT, opened_on=date(2026, 10, 15)),), {},
            "/period", f"{DEPARTMENT} thành lập ngày 15/10/2026", f"{DEPARTMENT} opened on 2026-10-15",
        ),
        ((), {"officer": "cb-99"}, "/officer", "không có cán bộ “cb-99”", f"Agency {DEPARTMENT} has no officer"),
        ((), {"officer": "cb-02"}, "/officer", "“cb-02” không còn phụ trách", "“cb-02” is no longer active"),
        (
            (rig.officer("cb-t", DEPARTMENT, regimes=("TUAN",)),), {"officer": "cb-t"},
            "/officer", "“cb-t” không được giao báo cáo KTXH", "“cb-t” is not designated for KTXH",
        ),
    ],
)  # fmt: skip
def test_a_refusal_says_what_is_wrong_and_where(
    more: tuple[RegistryEvent, ...], fields: dict[str, Any], pointer: str, vi: str, en: str
) -> None:
    error = only(*more, **fields)
    assert error.pointer == pointer
    assert vi in error.message
    assert en in error.message_en
    assert "None" not in error.message_en


def test_a_group_is_that_of_the_last_day_of_the_cut_off_and_of_an_unknown_period_that_of_any_day() -> None:
    moved = [{"code": OFFICE, "since": "2026-10-14"}]
    below = rig.agency(DEPARTMENT, parent="H99", parents=moved)
    asked = rig.regime("NHOM", submitter_kinds=(), submitter_parents=(OFFICE,))
    assert judged(below, asked, regime="NHOM") == Admitted(1)
    later = rig.agency(DEPARTMENT, parent="H99", parents=[{**moved[0], "since": "2026-10-15"}])
    assert only(later, asked, regime="NHOM").pointer == "/regime"
    assert only(later, asked, regime="NHOM", period="2026-W10").pointer == "/period"


def test_an_agency_that_opened_on_the_last_day_of_the_cut_off_reports() -> None:
    assert judged(rig.agency(DEPARTMENT, opened_on=date(2026, 10, 14))) == Admitted(1)


def test_of_an_unknown_regime_a_period_is_told_without_a_regime_and_with_an_example() -> None:
    told, period = errors(regime="NONE", period="2026-M13")
    assert told.pointer == "/regime"
    assert period.message == "“2026-M13” không phải kỳ báo cáo."
    assert period.message_en.startswith("“2026-M13” is not a period: ")
    assert "2026-M10" in period.fix
    assert "2026-M10" in period.fix_en


@pytest.mark.parametrize(
    ("frequency", "rule", "example"),
    [
        ("weekly", "weekday", "2026-W07"), ("monthly", "day_of_month", "2026-M10"),
        ("quarterly", "day_of_month", "2026-Q3"), ("half_yearly", "day_of_month", "2026-H1"),
        ("nine_monthly", "day_of_month", "2026-9M"), ("yearly", "day_of_month", "2026"),
        ("adhoc", "on_request", "DX-2026-003"),
    ],
)  # fmt: skip
def test_the_example_of_a_period_is_one_of_the_newest_version(frequency: str, rule: str, example: str) -> None:
    older = rig.regime("X", frequency="weekly", deadline=Deadline(rule="weekday"))
    newer = rig.regime("X", regime_version=2, frequency=frequency, deadline={"rule": rule})
    error = only(older, newer, regime="X", period="2026-X1")
    assert (error.fix, error.fix_en) == (f"Ghi kỳ như {example}.", f"Write the period like {example}.")


def test_who_may_answer_is_named_up_to_ten() -> None:
    def named(count: int) -> str:
        people = [rig.officer(f"cb-{number}", COMMUNE) for number in range(50, 50 + count)]
        error = only(*people, agency=COMMUNE, officer="nobody")
        assert error.fix.partition(": ")[2] == error.fix_en.partition(": ")[2]
        return error.fix_en.partition(": ")[2]

    listed = ", ".join(f"cb-{number}" for number in range(50, 60))
    assert MAX_ANSWERING == 10
    assert (named(10), named(11)) == (f"{listed}.", f"{listed}, ….")


def test_a_closed_agency_that_has_no_successor_is_told_to_check_the_period() -> None:
    alone = rig.agency(DISTRICT, "district", parent="H99", closed_on=date(2025, 6, 30))
    for record, vi, en in (
        (alone, "Kiểm tra kỳ báo cáo.", "Check the period."),
        (
            alone.model_copy(update={"successors": (COMMUNE, OFFICE)}),
            f"Cơ quan kế thừa gửi báo cáo này: {COMMUNE}, {OFFICE}.",
            f"Its successors send this report: {COMMUNE}, {OFFICE}.",
        ),
    ):
        found = judged(record, agency=DISTRICT, officer="cb-90", period="2025-M08")
        assert isinstance(found, Closed)
        error = found.error
        assert (error.pointer, error.fix, error.fix_en) == ("/period", vi, en)
        assert f"{DISTRICT} chấm dứt hoạt động ngày 30/06/2025" in error.message
        assert f"{DISTRICT} closed on 2025-06-30" in error.message_en


@pytest.mark.parametrize(
    ("more", "fields", "vi", "en"),
    [
        (
            (), {"period": "2026-M11"},
            "Kỳ 2026-M11 đến hết ngày 14/11/2026 mới chốt số liệu; nhận báo cáo từ 00:00 ngày 15/11/2026",
            "The figures of 2026-M11 close at the end of 2026-11-14; reports are taken from 00:00 on 2026-11-15",
        ),
        (
            (rig.regime("SOM", early_allowed=True),), {"regime": "SOM", "period": "2026-M12"},
            "Kỳ 2026-M12 chưa bắt đầu; nhận báo cáo từ 00:00 ngày 15/11/2026",
            "The period 2026-M12 has not begun; reports are taken from 00:00 on 2026-11-15",
        ),
        (
            (rig.request("DX-2026-009", issued_at=datetime(2026, 10, 20, 10, tzinfo=LOCAL_ZONE)),), REQUEST,
            "Yêu cầu DX-2026-009 chưa được ban hành; nhận báo cáo từ 10:00 ngày 20/10/2026",
            "The request DX-2026-009 is not issued yet; reports are taken from 10:00 on 2026-10-20",
        ),
    ],
)  # fmt: skip
def test_what_comes_too_early_is_told_why_and_from_when_on(
    more: tuple[RegistryEvent, ...], fields: dict[str, Any], vi: str, en: str
) -> None:
    error = only(*more, **fields)
    assert error.message.startswith(vi)
    assert error.message_en.startswith(en)


def test_what_is_too_old_is_told_for_how_long_and_from_which_year_on_reports_are_taken() -> None:
    error = only(rig.regime("CU", effective_from=date(2010, 1, 1)), regime="CU", period="2018-M12")
    assert "2018-M12" in error.message
    for text in (error.message, error.message_en):
        assert "5" in text
        assert text.count("2019") == 1


ASKED = rig.request("TT-1", regime="THIENTAI", asked_by=OFFICE, agencies=(DEPARTMENT,))
DECLINED: dict[str, Any] = {"regime": "THIENTAI", "period": "TT-1", "declines": "referral"}


def test_an_information_request_may_be_declined_and_what_is_owed_may_not() -> None:
    assert judged(ASKED, **{**DECLINED, "declines": "refusal"}) == Admitted(1)
    assert judged(ASKED, **DECLINED, refer_to=COMMUNE) == Admitted(1)
    for fields in ({"regime": "THIENTAI", "period": "DX-2026-001"}, {}):
        assert only(ASKED, **fields, declines="refusal").pointer == "/declines"
    # what cannot be read is not judged
    assert errors(ASKED, regime="THIENTAI", period="", declines="refusal") == ()


@pytest.mark.parametrize("whom", ["H99.404", DEPARTMENT, OFFICE, DISTRICT])
def test_nobody_is_referred_to_himself_back_or_to_an_agency_that_is_not_there(whom: str) -> None:
    error = only(ASKED, **DECLINED, refer_to=whom)
    assert error.pointer == "/refer_to"
    assert f"“{whom}”" in error.message
    assert f"“{whom}”" in error.message_en


def test_an_agency_is_referred_to_on_its_last_day() -> None:
    today = rig.agency(COMMUNE, "commune", closed_on=rig.NOW.date(), open_obligations="withdraw")
    assert judged(ASKED, today, **DECLINED, refer_to=COMMUNE) == Admitted(1)
    later = datetime(2026, 10, 21, 0, 0, tzinfo=LOCAL_ZONE)
    assert only(ASKED, today, **DECLINED, refer_to=COMMUNE, now=later).pointer == "/refer_to"


def test_whom_a_referral_names_is_judged_also_where_the_request_is_not_known() -> None:
    found = errors(regime="THIENTAI", period="TT-9", declines="referral", refer_to="H99.404")
    assert [error.pointer for error in found] == ["/declines", "/refer_to", "/period"]


def test_who_submits_nothing_is_told_so_beside_what_is_wrong_with_the_period_unless_a_request_may_name_anybody() -> (
    None
):
    named = rig.regime("RIENG", submitter_kinds=(), submitters=(COMMUNE,))
    pointers = [error.pointer for error in errors(named, regime="RIENG", period="2026-M13")]
    assert pointers == ["/regime", "/period"]
    assert [error.pointer for error in errors(named, regime="RIENG", period="", officer="")] == ["/regime"]
    assert [error.pointer for error in errors(agency=OFFICE, officer="", **REQUEST)] == ["/period"]
    # an heir is asked for what was the closed agency's
    gone = rig.agency(COMMUNE, "commune", closed_on=date(2026, 10, 10), open_obligations="transfer",
                      successors=(DEPARTMENT,))  # fmt: skip
    assert [error.pointer for error in errors(named, gone, regime="RIENG", period="2026-M13")] == ["/period"]


def test_what_was_found_of_a_period_is_found_once_and_is_of_its_regime_alone() -> None:
    found: Windows = {}
    assert judged(windows=found) == Admitted(1)
    ((key, (window, accepted_from)),) = found.items()
    assert (key, window.first, window.last) == (("KTXH", "2026-M10"), date(2026, 9, 15), date(2026, 10, 14))
    assert accepted_from == datetime(2026, 10, 15, tzinfo=LOCAL_ZONE)
    assert judged(regime="TUAN", period="2026-W41", windows=found) == Admitted(1)
    assert list(found) == [("KTXH", "2026-M10"), ("TUAN", "2026-W41")]
    found["KTXH", "2026-M10"] = (window, datetime(2027, 1, 1, tzinfo=LOCAL_ZONE))
    assert isinstance(judged(windows=found), Refused), "what is remembered is not sought again"


def test_an_heir_answers_for_an_agency_that_closed_on_the_first_day_of_the_cut_off_or_later() -> None:
    def heir(closed_on: date) -> Admitted | Closed | Refused:
        gone = rig.agency(DEPARTMENT, closed_on=closed_on, open_obligations="transfer", successors=(OFFICE,))
        return judged(gone, rig.officer("cb-o", OFFICE), agency=OFFICE, officer="cb-o")

    assert heir(date(2026, 9, 15)) == Admitted(1)
    assert isinstance(heir(date(2026, 9, 14)), Refused)
