"""How an agency that was asked stands, whom its answer falls to, and what is asked of whom: pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.intake.information import asking
from services.intake.information.answers import (
    Answer,
    Standing,
    addressee_state,
    answer_of,
    request_state,
    successors,
)
from services.intake.information.asking import Question
from services.intake.information.views import owing_of
from services.intake.registry.gate import Proposal, admit
from services.intake.registry.records import Registry, content_of
from services.intake.registry.source import Source
from shared.reports.report_parser import Report, Unreadable, read_report
from tests.integration.intake import rig
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, DISTRICT, NOW, OFFICE
from tests.unit.intake.test_reading import body

NIL: dict[str, Any] = {"figures": {}, "nil": True, "nil_reason": "Không quản lý."}


def standing(**others: Any) -> Standing:
    fields: dict[str, Any] = {
        "agency": COMMUNE, "standing": "nothing_sent", "owed": True, "overdue": False, "deadline": NOW,
        "on_time": None, "received_at": None, "transferred_to": None,
    }  # fmt: skip
    return Standing(**(fields | others))


def answer(**said: Any) -> Answer:
    return answer_of(COMMUNE, UUID(int=1), 1, NOW, body(**said))


@pytest.mark.parametrize(
    ("withdrawn", "told", "given", "state"),
    [
        (False, None, None, "open"),
        (False, standing(), None, "open"),
        (False, standing(overdue=True), None, "overdue"),
        (False, standing(standing="awaiting_verdict", overdue=True), None, "received"),
        (False, standing(standing="returned", overdue=True), None, "returned"),
        (False, standing(owed=False), None, "not_owed"),
        (False, standing(overdue=True), answer(), "answered"),
        (False, standing(), answer(**NIL), "nothing"),
        (False, standing(), answer(**NIL, declines="refusal"), "refused"),
        (False, standing(), answer(**NIL, declines="referral", refer_to="H99.05"), "referred"),
        (True, standing(overdue=True), answer(), "withdrawn"),
    ],
)
def test_the_state_follows_from_standing_and_answer(
    withdrawn: bool, told: Standing | None, given: Answer | None, state: str
) -> None:
    assert addressee_state(withdrawn, told, given) == state


def test_the_answer_falls_to_the_heir_only_once_scoring_has_handed_it_on() -> None:
    registry = Registry()
    for record in (
        rig.agency(COMMUNE, closed_on=NOW.date(), successors=(DEPARTMENT,), open_obligations="transfer"),
        rig.agency(DEPARTMENT, closed_on=NOW.date(), successors=(OFFICE,), open_obligations="transfer"),
        rig.agency(OFFICE),
    ):
        registry.put(record)
    chain = successors(COMMUNE, registry)
    assert chain == [COMMUNE, DEPARTMENT, OFFICE]
    handed = {COMMUNE: standing(transferred_to=DEPARTMENT)}
    assert owing_of(chain, {}) == COMMUNE
    assert owing_of(chain, handed) == DEPARTMENT
    assert owing_of(chain, {**handed, DEPARTMENT: standing(transferred_to=OFFICE)}) == OFFICE
    assert successors(DISTRICT, registry) == [DISTRICT]


def test_what_declines_is_another_content_and_says_whom_to_ask() -> None:
    plain, refused = read_report(body(**NIL)), read_report(body(**NIL, declines="refusal"))
    referred = [read_report(body(**NIL, declines="referral", refer_to=code)) for code in ("H99.05", "H99.06")]
    found = [plain, refused, *referred]
    assert all(isinstance(one, Report) for one in found)
    assert len({one.content_sha256() for one in found if isinstance(one, Report)}) == 4
    for wrong in ({"declines": "refusal"}, {"declines": "referral", **NIL}, {"refer_to": "H99.05", **NIL}):
        assert isinstance(read_report(body(**wrong)), Unreadable), wrong


def question(**others: Any) -> Question:
    fields: dict[str, Any] = {
        "title": "Số hộ nghèo", "title_en": "", "question": "Bao nhiêu?", "deadline": NOW + timedelta(days=2),
        "agencies": (COMMUNE,),
    }  # fmt: skip
    return Question(**(fields | others))


def asked(question: Question, records: Any) -> list[tuple[str, str]]:
    count = sum(getattr(record, "asked_by", None) == OFFICE for record in records)
    made = asking.proposals(question, OFFICE, count, records, NOW)
    assert made is not None
    return [(one.kind, one.value.get("code") or one.value["request_id"]) for one in made]


def test_free_text_shares_one_regime_of_the_asker_and_a_form_has_its_own() -> None:
    records: list[Any] = rig.records()
    free, own = f"TT-{OFFICE}", f"TT-{OFFICE}-1"
    assert asked(question(), records) == [("regime", free), ("request", own)]
    assert asked(question(form={"figures": []}), records) == [("regime", own), ("request", own)]
    assert asked(question(regime="HOI"), records) == [("request", own)]
    records += [rig.regime(free), rig.request(own, asked_by=OFFICE, regime=free)]
    assert asked(question(), records) == [("request", f"TT-{OFFICE}-2")]
    # an id that a registry's file has taken is passed over
    records.append(rig.request(f"TT-{OFFICE}-2"))
    assert asked(question(), records) == [("request", f"TT-{OFFICE}-3")]


def test_a_withdrawal_changes_nothing_else_of_the_record() -> None:
    request = rig.request(asked_by=OFFICE, agencies=(COMMUNE,))
    content = asking.withdrawal(request, "Nhầm", NOW).value
    changed = {name for name, value in content.items() if content_of(request)[name] != value}
    assert changed == {"withdrawn_at", "withdrawal_reason"}


def test_no_code_of_an_agency_could_make_the_ids_of_two_meet() -> None:
    """`TT-H99.02-1` would be the request of one and the free text of another; a hyphen is in no code, says the gate."""
    admission = admit([Proposal("agency", content_of(rig.agency(f"{OFFICE}-1")), Source())], [], NOW)
    assert [error.place for error in admission.errors] == ["/code"]


def test_where_files_have_taken_every_id_nothing_is_proposed() -> None:
    taken = [rig.request(name) for name in asking.next_ids(OFFICE, 0)]
    assert asking.proposals(question(), OFFICE, 0, taken[1:], NOW) is not None
    assert asking.proposals(question(), OFFICE, 0, taken, NOW) is None


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ({}, []),
        ({"deadline": NOW + HOUR}, []),
        ({"deadline": NOW + HOUR - timedelta(seconds=1)}, ["/deadline"]),
        ({"deadline": NOW + asking.MAX_TERM}, []),
        ({"deadline": NOW + asking.MAX_TERM + timedelta(seconds=1)}, ["/deadline"]),
        ({"regime": "HOI", "form": {}}, ["/form"]),
        ({"form": {"figures": [{}] * 100, "narratives": [{}] * 20}}, []),
        ({"form": {"figures": [{}] * 101, "narratives": [{}] * 21}}, ["/form/figures", "/form/narratives"]),
        ({"form": {"a": {"b": {"c": {"d": {"e": []}}}}}}, []),
        ({"form": {"a": {"b": {"c": {"d": {"e": {"f": "MẬT: g"}}}}}}}, ["/form"]),
        ({"title": "MẬT: số hộ", "title_en": "MẬT: x", "question": "MẬT: x"}, ["/title", "/title_en", "/question"]),
        ({"form": {"figures": [{"label": "MẬT: a"}, {"label": "MẬT: b"}]}}, ["/form"]),
    ],
)
def test_a_question_keeps_within_bounds_and_every_fault_says_how_to_mend_it(
    changes: dict[str, Any], places: list[str]
) -> None:
    found = asking.faults(question(**changes), NOW, HOUR)
    assert [error.pointer for error in found] == places
    for error in found:
        said = (error.message, error.message_en, error.fix, error.fix_en)
        assert all(said), error
        assert len(set(said)) == 4, "one text stands for two"
    if changes.get("deadline") == NOW + HOUR - timedelta(seconds=1):
        assert found[0].message_en == "Too soon: it must be at least 1 hours from now."


def test_what_is_asked_becomes_a_request_and_a_regime_as_the_gate_takes_them() -> None:
    records: list[Any] = rig.records()
    made = asking.proposals(question(title_en="Poor households"), OFFICE, 0, records, NOW)
    assert made is not None
    regime, request = (one.value for one in made)
    assert regime == {
        "code": f"TT-{OFFICE}", "regime_version": 1, "name": f"Trao đổi thông tin với Cơ quan {OFFICE}", "name_en": "",
        "frequency": "adhoc", "effective_from": NOW.date().isoformat(), "submitters": [COMMUNE], "receiver": OFFICE,
        "deadline": {"rule": "on_request"}, "remind_working_days": 1,
        "form": asking.FREE_FORM | {"nil_allowed": True},
    }  # fmt: skip
    assert request == {
        "request_id": f"TT-{OFFICE}-1", "regime": f"TT-{OFFICE}", "title": "Số hộ nghèo",
        "title_en": "Poor households", "question": "Bao nhiêu?", "issued_at": NOW.isoformat(),
        "deadline": (NOW + timedelta(days=2)).isoformat(), "agencies": [COMMUNE], "asked_by": OFFICE,
    }  # fmt: skip
    unknown = asking.proposals(question(), OFFICE, 0, [], NOW)
    assert unknown is not None
    assert unknown[0].value["name"] == f"Trao đổi thông tin với {OFFICE}"
    named = asking.proposals(question(regime="HOI"), OFFICE, 0, records, NOW)
    assert named is not None
    assert named[-1].value["regime"] == "HOI"
    own = asking.proposals(question(form={"figures": []}, title="T" * 400), OFFICE, 0, records, NOW)
    assert own is not None
    assert (own[0].value["name"], own[0].value["form"]) == ("T" * 300, {"figures": [], "nil_allowed": True})
    assert asking.regime_of(question(), OFFICE) == f"TT-{OFFICE}"
    assert asking.regime_of(question(form={}), OFFICE) is None
    assert asking.regime_of(question(regime="HOI"), OFFICE) == "HOI"
    assert asking.agencies_of(question(agencies=(COMMUNE, OFFICE)), OFFICE) == [OFFICE, COMMUNE]


def test_an_answer_shows_what_was_sent_and_a_request_is_open_to_the_very_hour() -> None:
    given = answer(figures={"A": "1"}, narratives={"N": "Đã xong"})
    assert (given.agency, given.submission_id, given.version, given.received_at) == (COMMUNE, UUID(int=1), 1, NOW)
    assert (given.figures, given.narratives, given.reason, given.refer_to) == ({"A": "1"}, {"N": "Đã xong"}, "", None)
    referred = answer(**NIL, declines="referral", refer_to="H99.05")
    assert (referred.reason, referred.refer_to) == ("Không quản lý.", "H99.05")
    assert [request_state(None, NOW + late, NOW) for late in (HOUR, timedelta(), -HOUR)] == ["open", "open", "due"]
    assert request_state(NOW, NOW - HOUR, NOW) == "withdrawn"
