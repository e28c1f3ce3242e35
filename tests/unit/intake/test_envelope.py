"""The envelope: who may send what for which period, judged by the registry and the hour alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.intake.registry.records import Registry
from services.intake.submissions.admission import Admitted, Closed, Refused, check
from shared.contract.events import RegistryEvent
from shared.reports.report_parser import Report
from shared.runtime.clock import LOCAL_ZONE
from tests.integration.intake import rig
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, DISTRICT, OFFICE


def registry(*more: RegistryEvent) -> Registry:
    found = Registry()
    for record in (*rig.records(), *more):
        found.put(record)
    return found


def judged(
    agency: str = DEPARTMENT, *more: RegistryEvent, now: datetime = rig.NOW, **fields: Any
) -> Admitted | Closed | Refused:
    asked = {"regime": "KTXH", "period": "2026-M10", "officer": "cb-01", **fields}
    return check(Report(nil=False, figures={}, narratives={}, **asked), agency, registry(*more), now)


def pointers(found: object) -> list[str]:
    assert isinstance(found, Refused)
    assert all(error.message and error.message_en and error.fix and error.fix_en for error in found.errors)
    return [error.pointer for error in found.errors]


def test_a_department_may_send_a_period_that_has_begun() -> None:
    assert judged() == Admitted(1)


def test_everything_wrong_with_the_envelope_is_told_at_once() -> None:
    assert pointers(judged(regime="NONE", officer="nobody")) == ["/officer", "/regime"]
    assert pointers(judged(regime="NONE", officer="nobody", period="2026-M13")) == ["/officer", "/regime", "/period"]
    assert pointers(judged(OFFICE, officer="nobody", period="2026-M13")) == ["/officer", "/regime", "/period"]
    # a closed agency is told that it has closed, among the rest
    found = judged(DISTRICT, officer="nobody", period="2025-M08")
    assert pointers(found) == ["/officer", "/period"]
    assert isinstance(found, Refused)
    assert COMMUNE in found.errors[1].fix


def test_what_cannot_be_read_is_not_judged_and_the_rest_is() -> None:
    assert pointers(judged(regime="", officer="nobody", period="2026-M13")) == ["/officer", "/period"]
    assert pointers(judged(period="", officer="nobody")) == ["/officer"]
    assert pointers(judged(officer="", regime="NONE")) == ["/regime"]
    assert pointers(judged(regime="", period="", officer="")) == []
    assert judged(officer="") == Admitted(1)


@pytest.mark.parametrize("period", ["2026-W10", "2026-M13", "2026", "x", "2026-m10", "DX-2026-001"])
def test_a_period_that_does_not_fit_the_frequency_is_refused(period: str) -> None:
    assert pointers(judged(period=period)) == ["/period"]


_MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("fields", "opens"),
    [
        ({"regime": "KTXH", "period": "2026-M11"}, datetime(2026, 11, 15, tzinfo=LOCAL_ZONE)),  # 15/10 to 14/11
        ({"regime": "TUAN", "period": "2026-W43"}, datetime(2026, 10, 26, tzinfo=LOCAL_ZONE)),  # Monday to Sunday
        ({"regime": "SOM", "period": "2026-M11"}, datetime(2026, 10, 15, tzinfo=LOCAL_ZONE)),
        ({"regime": "THIENTAI", "period": "DX-2026-001"}, datetime(2026, 10, 1, 8, tzinfo=LOCAL_ZONE)),
    ],
    ids=["monthly", "weekly", "early allowed", "request"],
)
def test_nothing_is_taken_before_its_figures_can_exist(fields: dict[str, str], opens: datetime) -> None:
    early = rig.regime("SOM", early_allowed=True)
    assert judged(DEPARTMENT, early, now=opens, **fields) == Admitted(1)
    found = judged(DEPARTMENT, early, now=opens - _MICROSECOND, **fields)
    assert pointers(found) == ["/period"]
    assert isinstance(found, Refused)
    [error] = found.errors
    assert f"{opens:%H:%M} ngày {opens:%d/%m/%Y}" in error.message, "in local time"
    assert f"{opens:%H:%M} ngày {opens:%d/%m/%Y}" in error.fix
    assert f"{opens:%H:%M} on {opens:%Y-%m-%d}" in error.message_en
    # midnight of Vietnam is 17:00 UTC of the day before
    in_utc = judged(DEPARTMENT, early, now=(opens - _MICROSECOND).astimezone(UTC), **fields)
    assert in_utc == found


def test_an_agency_that_closed_before_the_window_is_told_its_successors() -> None:
    # closed on 30/6/2025: 2025-M07 holds 15/6 to 14/7, 2025-M08 begins on 15/7
    assert judged(DISTRICT, officer="cb-90", period="2025-M07") == Admitted(1)
    assert judged(DISTRICT, officer="cb-90", period="2025-M08") == Closed(DISTRICT, date(2025, 6, 30), (COMMUNE,))


def test_an_agency_that_did_not_exist_yet_is_refused() -> None:
    young = rig.agency("H99.77", opened_on=date(2026, 7, 1))
    officer = rig.officer("cb-77", "H99.77")
    assert pointers(judged("H99.77", young, officer, officer="cb-77", period="2026-M06")) == ["/period"]
    assert judged("H99.77", young, officer, officer="cb-77", period="2026-M07") == Admitted(1)


def test_only_submitters_by_kind_or_by_name_may_send() -> None:
    assert pointers(judged(OFFICE, rig.officer("cb-o", OFFICE), officer="cb-o")) == ["/regime"]
    named = rig.regime("RIENG", submitter_kinds=(), submitters=(OFFICE,))
    assert judged(OFFICE, rig.officer("cb-o", OFFICE), named, officer="cb-o", regime="RIENG") == Admitted(1)


def test_the_officer_must_be_active_and_of_the_agency_and_a_foreign_one_is_told_like_an_unknown_one() -> None:
    assert pointers(judged(officer="cb-02")) == ["/officer"]
    foreign, unknown = judged(officer="cb-50"), judged(officer="cb-99")
    assert isinstance(foreign, Refused)
    assert isinstance(unknown, Refused)
    assert foreign.errors[0].message_en.replace("cb-50", "cb-99") == unknown.errors[0].message_en


def _fix(found: object) -> str:
    assert pointers(found) == ["/officer"]
    assert isinstance(found, Refused)
    return found.errors[0].fix_en


def test_a_report_names_who_is_designated_for_its_regime_or_the_head() -> None:
    named = rig.officer("cb-k", DEPARTMENT, regimes=("KTXH",))
    other = rig.officer("cb-t", DEPARTMENT, regimes=("TUAN",))
    head = rig.officer("tt-01", DEPARTMENT, role="head", regimes=("TUAN",))
    away = rig.officer("tt-00", DEPARTMENT, role="head", active=False)
    people = (named, other, head, away)
    for officer in ("cb-01", "cb-k", "tt-01"):
        assert judged(DEPARTMENT, *people, officer=officer) == Admitted(1)
    # who may answer is told, those named for the regime first; nobody of another agency, nobody off duty
    for officer in ("cb-t", "tt-00", "cb-02", "cb-50", "cb-99"):
        found = judged(DEPARTMENT, *people, officer=officer)
        assert _fix(found) == "Name an officer designated for it, or the head: cb-k, cb-01, tt-01."
    # where the regime is not known, nobody can say who is designated for it
    assert pointers(judged(DEPARTMENT, *people, officer="cb-t", regime="NONE")) == ["/regime"]
    alone = judged(OFFICE, rig.regime("RIENG", submitters=(OFFICE,)), regime="RIENG")
    assert "names nobody" in _fix(alone)


def test_who_moves_to_another_agency_answers_there_and_nowhere_else() -> None:
    moved = rig.officer("cb-01", COMMUNE).model_copy(update={"version": 1})
    assert _fix(judged(DEPARTMENT, moved)) != _fix(judged(officer="cb-99"))
    assert judged(COMMUNE, moved) == Admitted(1)
    assert _fix(judged(COMMUNE, moved, officer="cb-99")).endswith("cb-01, cb-50.")
    # and back, and an older record that comes late changes nothing
    back = rig.officer("cb-01", DEPARTMENT).model_copy(update={"version": 2})
    assert judged(DEPARTMENT, moved, back, moved) == Admitted(1)
    assert _fix(judged(DEPARTMENT, moved, back, moved, officer="cb-99")).endswith("head: cb-01.")


def test_the_version_in_force_on_the_last_day_of_the_window_governs() -> None:
    newer = rig.regime(regime_version=2, effective_from=date(2026, 10, 14))
    assert judged(DEPARTMENT, newer) == Admitted(2)
    later = rig.regime(regime_version=2, effective_from=date(2026, 10, 15))
    assert judged(DEPARTMENT, later) == Admitted(1)
    assert pointers(judged(period="2019-M12")) == ["/period"]


def test_a_period_before_the_calendar_or_years_ago_is_refused() -> None:
    old = rig.regime("CU", effective_from=date(2010, 1, 1))
    for period in ("2010-M01", "2018-M12", "2019-M01", "2021-M09"):
        found = judged(DEPARTMENT, old, regime="CU", period=period)
        assert pointers(found) == ["/period"]
        assert isinstance(found, Refused)
        assert "quá cũ" in found.errors[0].message
    assert judged(DEPARTMENT, old, regime="CU", period="2021-M11") == Admitted(1)


def test_a_request_exists_belongs_to_its_regime_and_addresses_the_agency() -> None:
    assert judged(regime="THIENTAI", period="DX-2026-001") == Admitted(1)
    assert pointers(judged(regime="THIENTAI", period="DX-2026-009")) == ["/period"]
    assert pointers(judged(regime="THIENTAI", period="2026-M10")) == ["/period"]
    assert pointers(judged(regime="THIENTAI", period="DX-2026-002")) == ["/regime"]
    assert judged(COMMUNE, regime="THIENTAI", period="DX-2026-002", officer="cb-50") == Admitted(1)
    early = datetime(2026, 9, 30, tzinfo=LOCAL_ZONE)
    assert pointers(judged(regime="THIENTAI", period="DX-2026-001", now=early)) == ["/period"]


def test_an_agency_outside_the_registry_may_send_nothing() -> None:
    assert pointers(judged("H99.404")) == [""]


def test_the_heir_of_a_closed_agency_may_send_what_was_open_then() -> None:
    closed: dict[str, Any] = {"closed_on": date(2026, 10, 10), "open_obligations": "transfer", "successors": (OFFICE,)}
    gone = rig.agency(DEPARTMENT, **closed)
    heir = rig.agency(OFFICE, "office", opened_on=date(2026, 10, 20))  # founded after the cut-off
    people = rig.officer("cb-o", OFFICE)
    assert judged(OFFICE, gone, heir, people, officer="cb-o") == Admitted(1)
    # what began only after the closing, and what nobody asked of the closed one, is not the heir's
    later = datetime(2026, 12, 20, tzinfo=LOCAL_ZONE)
    assert pointers(judged(OFFICE, gone, heir, people, officer="cb-o", period="2026-M12", now=later)) == ["/regime"]
    request: dict[str, Any] = {"regime": "THIENTAI", "period": "DX-2026-002"}
    assert pointers(judged(OFFICE, gone, heir, people, officer="cb-o", **request)) == ["/regime", "/period"]
    # through another that has closed too
    third = rig.agency("H99.60", "office")
    second = rig.agency(OFFICE, "office", **{**closed, "closed_on": date(2026, 10, 12), "successors": ("H99.60",)})
    officer = rig.officer("cb-60", "H99.60")
    assert judged("H99.60", gone, second, third, officer, officer="cb-60") == Admitted(1)
    # the control: without the instruction, or once the agency lives on, nobody inherits
    for record in (rig.agency(DEPARTMENT, **{**closed, "open_obligations": None}), rig.agency(DEPARTMENT)):
        assert pointers(judged(OFFICE, record, heir, people, officer="cb-o")) == ["/regime", "/period"]


def test_an_agency_that_lives_on_takes_its_duties_back_from_the_registry_in_memory() -> None:
    found = registry(rig.agency(DEPARTMENT, closed_on=date(2026, 10, 10), open_obligations="transfer",
                                successors=(OFFICE,)))  # fmt: skip
    assert [agency.code for agency in found.inherits_from(OFFICE)] == [DEPARTMENT]
    changed = Registry()
    changed.put(rig.agency(DEPARTMENT, version=5))
    found.take(changed)
    assert found.inherits_from(OFFICE) == []
