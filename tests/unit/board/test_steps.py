"""What forms are offered, where they go and what is sent, and that nobody else makes a page say that it was done.

The bodies and the routes are held against intake's own models and table, so that neither drifts.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.board.pages import steps, words
from services.board.pages.steps import Form, Said
from services.intake.lifecycle import api, open_queries, table
from services.intake.waivers import views as waivers

SECRET = "s" * 43
KEY = "H99.12/BC-THANG/2026-M10"
TYPED = {"reason": " Bão số 9 ", "until": "2026-10-25T17:00", "since": "2026-10-20T08:00", "csrf": "x", "once": "y"}


def test_every_form_goes_where_the_table_of_steps_says() -> None:
    routes = {route for row in table.TRANSITIONS for route in row.route.removeprefix("POST ").split(", ")}
    paths = [
        path for path, _ in (*steps.OF_VERSION.values(), *steps.OF_OBLIGATION.values(), *steps.OF_LATENESS.values())
    ]
    paths += [path for _, path, _ in steps.REQUESTS.values()]
    assert {path.partition("?")[0] for path in paths} == routes - {"", "/v1/submissions"}


@pytest.mark.parametrize(
    ("form", "decision", "model"),
    [
        (steps.CERTIFICATION, "", api.Certification),
        (steps.REVIEW, "approve", api.Reviewed),
        (steps.REVIEW, "rework", api.Reviewed),
        (steps.WITHDRAWAL, "", api.Reasoned),
        (steps.EXPLANATION, "", api.Reasoned),
        (steps.VERDICT_APPEAL, "", api.Reasoned),
        (steps.SCORE_APPEAL, "", api.Reasoned),
        (steps.EXTENSION, "", api.ExtensionRequested),
        (steps.UNLOCK, "", api.Unlocked),
        (steps.EXTENSION_DECISION, "grant", api.Decided),
        (steps.EXTENSION_DECISION, "refuse", api.Decided),
        (steps.EXPLANATION_DECISION, "grant", api.Decided),
        (steps.LATENESS, "", api.LatenessExplained),
        (steps.LATENESS_DECISION, "note", api.LatenessDecided),
        (steps.LATENESS_DECISION, "ask", api.LatenessDecided),
        (steps.APPEAL_DECISION, "relief", api.AppealDecided),
        (steps.APPEAL_DECISION, "accepted", api.AppealDecided),
        (steps.APPEAL_DECISION, "dismiss", api.AppealDecided),
    ],
)  # fmt: skip
def test_what_is_sent_is_what_intake_reads(form: Form, decision: str, model: Any) -> None:
    sent = steps.body_of(form, {**TYPED, "decision": decision})
    read = model.model_validate(sent)
    assert read.reason == "Bão số 9"
    assert "csrf" not in sent
    if any(field.name == "until" for field in form.fields):
        assert read.until == datetime(2026, 10, 25, 10, 0, tzinfo=UTC), "Vietnam's five o'clock"
    if form is steps.APPEAL_DECISION:
        effect = {"relief": ("uphold", "relief"), "accepted": ("uphold", "accepted"), "dismiss": ("dismiss", None)}
        assert (read.decision, read.effect) == effect[decision]


def test_a_waiver_is_asked_for_and_decided_by_days() -> None:
    typed = {"regime": " KTXH ", "rule": "KT-01", "since": "2026-11-01", "until": "2026-12-31", "reason": "Sáp nhập"}
    asked = waivers.WaiverAsked.model_validate(steps.body_of(steps.WAIVER, typed))
    assert (asked.regime, asked.rule, str(asked.since), str(asked.until), asked.agencies) == (
        "KTXH", "KT-01", "2026-11-01", "2026-12-31", [],
    )  # fmt: skip
    decided = steps.body_of(steps.WAIVER_DECISION, {"decision": "grant", "until": "2026-11-30", "reason": ""})
    assert waivers.WaiverDecided.model_validate(decided).until is not None
    assert set(get_args(waivers.State)) == set(words.WAIVER_STATES)
    form = steps.filled(steps.WAIVER, {"regime": "KTXH", "rule": "r" * 100, "since": "2026-11-01"})
    assert {field.name: field.value for field in form.fields if field.value} == {"regime": "KTXH", "rule": "r" * 64}
    assert steps.filled(steps.WAIVER, {}) == steps.WAIVER


def test_what_is_no_choice_and_no_moment_goes_as_it_was_typed() -> None:
    typed = {"decision": "perhaps", "until": "2026-13-45T25:61", "reason": ""}
    assert steps.body_of(steps.APPEAL_DECISION, typed) == {
        "decision": "perhaps", "until": "2026-13-45T25:61", "reason": ""
    }  # fmt: skip
    assert steps.body_of(steps.EXTENSION, {"until": "mai"}) == {"until": "mai", "reason": ""}


def test_a_moment_is_shown_as_its_field_holds_it_and_comes_back_the_same() -> None:
    asked = datetime(2026, 10, 25, 10, 0, tzinfo=UTC)
    form = steps.with_value(steps.EXTENSION_DECISION, "until", steps.as_typed(asked))
    (until,) = (field for field in form.fields if field.name == "until")
    assert until.value == "2026-10-25T17:00"
    sent = steps.body_of(form, {"decision": "grant", "until": until.value, "reason": "x"})
    assert datetime.fromisoformat(sent["until"]) == asked
    assert steps.as_typed(None) == ""


def possible(**steps: str) -> list[dict[str, Any]]:
    """As intake says it: each step with the roles that may take it."""
    return [{"step": step, "who": who.split()} for step, who in steps.items()]


OF_AGENCY = "agency reporting_officer head"
POSSIBLE = possible(
    certified="head deputy", approved="reviewer chair", rework="reviewer chair", withdrawn=OF_AGENCY,
    appeal_made=OF_AGENCY,
)  # fmt: skip


@pytest.mark.parametrize(
    ("state", "roles", "offered"),
    [
        ("accepted", ["head"], ["ky", "rut"]),
        ("accepted", ["reporting_officer"], ["rut"]),
        ("accepted", ["chair"], ["duyet"]),
        ("accepted", ["head", "chair"], ["ky", "duyet", "rut"]),
        ("accepted", [], []),
        ("to_explain", ["reporting_officer"], ["giai-trinh", "rut"]),
        ("to_explain", ["reviewer"], ["duyet"]),
        ("returned", ["reporting_officer"], ["khieu-nai", "rut"]),
        ("rework", ["reporting_officer"], ["khieu-nai", "rut"]),
        ("returned", ["chair"], ["duyet"]),
    ],
)
def test_a_version_offers_what_intake_says_is_possible_for_the_persons_roles(
    state: str, roles: list[str], offered: list[str]
) -> None:
    said = POSSIBLE + (possible(explanation_given=OF_AGENCY) if state == "to_explain" else [])
    assert [form.step for form in steps.of_version(steps.mine(said, roles), state)] == offered


def test_what_was_asked_for_is_decided_by_whom_and_with_what_intake_says() -> None:
    upheld = {"step": "appeal_upheld", "who": ["provincial_office", "chair"], "effects": ["relief"]}
    said = [upheld, *possible(appeal_dismissed="provincial_office chair")]
    assert steps.of_request(steps.APPEAL_DECISION, steps.mine(said, ["reviewer"]), None) == []
    (form,) = steps.of_request(steps.APPEAL_DECISION, steps.mine(said, ["chair"]), None)
    assert [option for field in form.fields for option, _ in field.options] == ["relief", "dismiss"]
    asked = datetime(2026, 10, 25, 10, 0, tzinfo=UTC)
    (form,) = steps.of_request(steps.EXTENSION_DECISION, {"extension_granted": []}, asked)
    assert [field.value for field in form.fields if field.name == "until"] == ["2026-10-25T17:00"]
    assert steps.of_request(steps.EXPLANATION_DECISION, {"explanation_refused": []}, None) == [
        steps.EXPLANATION_DECISION
    ]


def test_a_review_offers_only_the_decisions_that_are_possible() -> None:
    def decisions(*mine: str) -> list[str]:
        (form,) = steps.of_version(mine, "approved")
        return [option for field in form.fields for option, _ in field.options]

    assert (decisions("rework"), decisions("approved")) == (["rework"], ["approve"])
    assert decisions("rework", "approved") == ["approve", "rework"], "the form itself is as it was"


def test_every_kind_that_waits_has_a_name_and_leads_to_its_page() -> None:
    assert list(words.WAITING) == list(open_queries.NAMES)
    assert steps.page_of("review", KEY, "a") == f"/nghia-vu/{KEY}/phien-ban/a"
    assert steps.page_of("appeal", KEY, "a") == f"/nghia-vu/{KEY}/de-nghi/khieu-nai/a"
    assert steps.page_of("something-new", KEY, "a") == f"/nghia-vu/{KEY}", "what is new at intake is not lost"
    assert steps.page_of_request("extension_requested", KEY, "a") == f"/nghia-vu/{KEY}/de-nghi/gia-han/a"
    assert steps.page_of_request("certified", KEY, "a") == ""
    assert {asks for asks, _, _ in steps.REQUESTS.values()} == set(words.REQUESTS)


def test_one_form_sent_twice_has_one_key_and_another_text_another() -> None:
    once, body = steps.new_once(), {"reason": "a", "until": "b"}
    key = steps.idempotency_key(once, "/v1/x", body)
    assert key == steps.idempotency_key(once, "/v1/x", {"until": "b", "reason": "a"})
    others = [steps.idempotency_key(*other) for other in (
        (steps.new_once(), "/v1/x", body), (once, "/v1/y", body), (once, "/v1/x", {**body, "reason": "c"}),
    )]  # fmt: skip
    assert len({key, *others}) == 4
    assert steps.once_of({"once": once}) == once
    for missing in ({}, {"once": "x"}, {"once": once + "a"}):
        assert steps.once_of(missing) not in (once, steps.once_of(missing)), "a new one each time"


SAID = Said("certified", KEY, again=False)


def test_what_was_said_is_read_back_by_the_same_session_alone() -> None:
    told = steps.sealed(SAID, SECRET)
    assert steps.unsealed(told, SECRET) == SAID
    again = Said("appeal_made", KEY, again=True)
    assert steps.unsealed(steps.sealed(again, SECRET), SECRET) == again
    assert steps.unsealed(told, "t" * 43) is None
    for changed in (told.replace("certified", "approved"), told.replace("new", "again"), told.replace("M10", "M11")):
        assert (changed != told, steps.unsealed(changed, SECRET)) == (True, None)


@given(st.text())
def test_no_other_text_says_anything(text: str) -> None:
    assert steps.unsealed(text, SECRET) is None
