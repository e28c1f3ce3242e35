"""The gate: what must hold between records, one text, one address, bounded numbers; whatever way they come."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from services.intake.registry.checks import Versions
from services.intake.registry.gate import MAX_ERRORS, Admission, Proposal, admit
from services.intake.registry.records import Registry
from services.intake.registry.source import Source
from shared.contract.events import Deadline, OfficerRegistered, RegimePublished, RegistryEvent, RequestIssued
from shared.contract.events.base import MAX_EVENT_BYTES
from shared.contract.events.fields import usable_address
from shared.contract.text import header_safe
from shared.reports.limits import MAX_BODY_BYTES
from tests.integration.intake import rig
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, DISTRICT, NOW, proposed


def asked(*changed: RegistryEvent, without: str = "", stored: Sequence[RegistryEvent] = (), **how: Any) -> Admission:
    keys = {record.key for record in changed}
    base = [record for record in (*rig.records(), ASKING) if record.key not in keys and record.key != without]
    return admit(proposed([*base, *changed]), stored, NOW, **how)


def messages(*changed: RegistryEvent, **how: Any) -> list[str]:
    """Place and English message of each error; each must say what is wrong and how to mend it, in both languages."""
    found = asked(*changed, **how).errors
    for error in found:
        said = (error.message, error.message_en, error.fix, error.fix_en)
        assert all(said), error
        assert len(set(said)) == 4, f"one text stands for two: {error}"
    return [f"{error.place.split('/', 2)[-1]}: {error.message_en}" for error in found]


def form(**content: Any) -> RegimePublished:
    return rig.regime("X", form=content)


def figures(*codes: str, **others: Any) -> list[dict[str, Any]]:
    return [{"code": code, "label": code, **others} for code in codes]


#: an ad hoc regime whose answers go to the office
ASKING = rig.regime(
    "HOI", frequency="adhoc", deadline=Deadline(rule="on_request"),
    form={"narratives": [{"code": "N", "label": "Trả lời"}], "nil_allowed": True},
)  # fmt: skip


def information(request_id: str = "TT-1", **others: Any) -> RequestIssued:
    return rig.request(request_id, **{"regime": "HOI", "asked_by": rig.OFFICE, "agencies": (COMMUNE,), **others})


def sums(**terms: Sequence[str]) -> RegimePublished:
    return form(figures=figures("A", "B", "C"), sums=[
        {"code": f"S{number}", "total": total, "terms": rule} for number, (total, rule) in enumerate(terms.items())
    ])  # fmt: skip


def _later(since: str, code: str) -> dict[str, str]:
    return {"code": code, "since": since}


def test_the_provinces_records_fit_together() -> None:
    assert messages() == []


NARRATIVE = {"code": "n", "label": "n"}
MORE: dict[str, Any] = {"extra_working_days": 3, "reason": "Xã đảo"}


def overriding(*overrides: dict[str, Any], deadline: str = "day_of_month", **changes: Any) -> RegimePublished:
    """Of communes, with these deadline overrides."""
    rule = {"rule": deadline, "day": 20, "overrides": overrides}
    made = rig.regime("X", submitter_kinds=("commune",), **changes)
    return RegimePublished.model_validate(made.model_dump() | {"deadline": rule})


@pytest.mark.parametrize(
    ("record", "place", "what"),
    [
        (rig.agency("x99"), "code", "Decision 20/2020"),
        (rig.agency("H99.03", parent="H77"), "parent", "no parent agency"),
        (rig.agency("H99", parent=COMMUNE), "parent", "circle"),
        (rig.agency("H99.03", parents=[_later("2026-01-01", "H77")]), "parents/0/code", "no parent agency"),
        (rig.agency("H99.03", parents=[_later("2020-01-01", "H99")]), "parents/0/since", "not after 01/01/2020"),
        (
            rig.agency("H99.03", parents=[_later("2026-01-02", "H99"), _later("2026-01-01", rig.OFFICE)]),
            "parents/1/since",
            "not after 02/01/2026",
        ),
        (rig.agency("H99", parents=[_later("2030-01-01", COMMUNE)]), "parents/0", "circle"),
        (rig.agency("H99.03", closed_on=date(2019, 1, 1)), "closed_on", "closing date is before the opening date"),
        (rig.agency("H99.03", successors=("H99", "H77")), "successors/1", "no successor"),
        (rig.agency("H99.03", name="a\nb"), "name", "line break"),
        (rig.agency("H99.03", opened_on=date(9999, 1, 1)), "opened_on", "year must be"),
        (rig.officer("cb-x", "H77"), "agency", "no agency"),
        (rig.officer("cb-x", DEPARTMENT, email="a b@example.vn"), "email", "not a mail address"),
        (rig.officer("cb-x", DEPARTMENT, email="a@example.vn\nBcc: b@example.vn"), "email", "not a mail address"),
        (rig.officer("cb-x", DEPARTMENT, name="A\r\nBcc: x"), "name", "line break"),
        (rig.officer("cb-x", DEPARTMENT, title="A\x1bB"), "title", "control character"),
        (rig.officer("cb-x", DEPARTMENT, regimes=("NONE",)), "regimes/0", "no regime"),
        (rig.officer("cb/x", DEPARTMENT), "officer_id", "not valid"),
        (rig.regime("X", receiver="H77"), "receiver", "no receiver"),
        (rig.regime("X", submitters=("H77",)), "submitters/0", "no submitter"),
        (rig.regime("X", submitter_kinds=()), "submitter_kinds", "Nobody owes"),
        (
            rig.regime("X", submitter_kinds=("department",) * 2),
            "submitter_kinds",
            "“department” stands there more",
        ),
        (rig.regime("X", submitters=("H99", "H99")), "submitters", "“H99” stands there more than once"),
        (rig.regime("X", replaces_reason="Nhầm"), "replaces_reason", "not the version it replaces"),
        (rig.regime("X", frequency="adhoc"), "deadline/rule", "on_request"),
        (rig.regime("X", frequency="weekly"), "deadline/rule", "weekday"),
        (rig.regime("X", effective_to=date(2019, 1, 1)), "effective_to", "before the first"),
        (rig.regime("X", regime_version=0), "regime_version", "1 to 9999"),
        (rig.regime("X", remind_working_days=-1), "remind_working_days", "0 to 60"),
        (rig.regime("X", remind_working_days=10**9), "remind_working_days", "0 to 60"),
        (
            rig.regime("X", submitters=(DISTRICT,), effective_from=date(2025, 7, 1)),
            "submitters/0",
            "closes on 30/06",
        ),
        (rig.regime("X", receiver=DISTRICT, effective_from=date(2025, 7, 1)), "receiver", "closes on 30/06/2025"),
        (form(), "form", "asks nothing"),
        (form(nil_allowed=True), "form", "asks nothing"),
        (form(figures=figures("A", "A")), "form/figures/1/code", "repeated"),
        (form(figures=figures("A", minimum=2, maximum=1)), "form/figures/0", "exceeds the maximum"),
        (form(figures=figures(*map(str, range(2001)))), "form/figures", "At most 2000 items"),
        (form(figures=figures("A", type="integer", fraction_digits=1)), "form/figures/0/fraction_digits", "an integer"),
        (form(figures=figures("A", type="percent", unit="ha")), "form/figures/0/unit", "a percentage"),
        (form(figures=figures("A", type="percent", scale=3)), "form/figures/0/scale", "no `scale`"),
        (form(figures=figures("A", type="percent", consolidation="sum")), "form/figures/0/consolidation", "add up"),
        (form(figures=figures("A"), attachments=figures("P", "P")), "form/attachments/1/code", "repeated"),
        (form(attachments=figures("P")), "form", "asks nothing"),
        (rig.regime("X", submitters_except=("H77",)), "submitters_except/0", "no excepted agency"),
        (rig.regime("X", submitters_except=("H99.02",)), "submitters_except/0", "is no exception"),
        (
            rig.regime("X", submitters=(COMMUNE,), submitters_except=(COMMUNE,)),
            "submitters_except/0",
            "is no exception",
        ),
        (rig.regime("X", submitter_parents=("H77",)), "submitter_parents/0", "no parent agency"),
        (overriding({"agencies": [COMMUNE], "kinds": ["commune"], **MORE}), "deadline/overrides/0", "exactly one"),
        (overriding(MORE), "deadline/overrides/0", "exactly one"),
        (overriding({"agencies": [COMMUNE], "reason": "x"}), "deadline/overrides/0", "either a `deadline`"),
        (
            overriding({"agencies": [COMMUNE], **MORE, "deadline": {"rule": "day_of_month", "day": 20}}),
            "deadline/overrides/0",
            "either a `deadline`",
        ),
        (
            overriding({"agencies": [COMMUNE], "extra_working_days": 1}),
            "deadline/overrides/0/reason",
            "reason for another deadline",
        ),
        (overriding({"agencies": ["H77"], **MORE}), "deadline/overrides/0/agencies/0", "no agency"),
        (overriding({"parents": ["H77"], **MORE}), "deadline/overrides/0/parents/0", "no parent agency"),
        (overriding({"kinds": ["ward"], **MORE}), "deadline/overrides/0", "no submitter"),
        (
            overriding({"agencies": [COMMUNE], **MORE}, {"agencies": [COMMUNE], **MORE}),
            "deadline/overrides/1/agencies",
            "which deadline holds",
        ),
        (
            overriding({"kinds": ["commune"], "reason": "x", "deadline": {"rule": "weekday"}}),
            "deadline/overrides/0/deadline/rule",
            "no deadline of such a period",
        ),
        (
            overriding({"kinds": ["commune"], **MORE}, frequency="adhoc", deadline="on_request"),
            "deadline/overrides",
            "each request states its own",
        ),
        (rig.regime("X", submitter_parents=(COMMUNE,)), "submitter_parents/0", "No agency is below"),
        (
            rig.regime("X", submitter_parents=("H99",), submitter_kinds=("ward",)),
            "submitter_parents/0",
            "of one of `submitter_kinds`",
        ),
        (
            rig.regime("X", submitter_kinds=(), submitter_parents=("H99",), submitters_except=("H99",)),
            "submitters_except/0",
            "is no exception",
        ),
        (rig.regime("X", review_by=date(2020, 1, 1)), "review_by", "before it takes effect"),
        (
            rig.regime("X", grace_working_days=3, lock_after_working_days=2),
            "grace_working_days",
            "reports within it would be refused",
        ),
        (form(figures=figures("A"), sums=[{"code": "S", "total": "A", "terms": []}]), "form/sums/0/terms", "no terms"),
        (sums(Z=("A",)), "form/sums/0/total", "no figure"),
        (sums(A=("B", "Z")), "form/sums/0/terms/1", "no figure"),
        (sums(A=("B", "B")), "form/sums/0/terms/1", "is repeated"),
        (sums(A=("B", "A")), "form/sums/0/terms/1", "its own terms"),
        (sums(A=("B",), B=("C",), C=("A",)), "form/sums/2/terms/0", "through other sums: A → B → C → A."),
        (form(narratives=[{**NARRATIVE, "min_characters": 30_000}]), "form/narratives/0/min_characters", "0 to 20000"),
        (
            form(narratives=[{**NARRATIVE, "min_characters": 9, "max_characters": 8}]),
            "form/narratives/0",
            "maximum length",
        ),
        (
            form(narratives=[{"code": f"n{n}", "label": "n", "min_characters": 20_000} for n in range(14)]),
            "form",
            f"the limit is {MAX_BODY_BYTES}",
        ),
        (form(figures=figures(*map(str, range(2000)), label_en="ế" * 490)), "form", "too large to publish"),
        (rig.request("2026-M01"), "request_id", "no valid period"),
        (rig.request("DX-9", regime="NONE"), "regime", "no regime"),
        (rig.request("DX-9", regime="KTXH"), "regime", "not an ad hoc"),
        (rig.request("DX-9", deadline=NOW.replace(year=2020)), "deadline", "before the request"),
        (rig.request("DX-9", deadline=NOW - timedelta(days=1)), "deadline", "has passed"),
        (rig.request("DX-9", agencies=(COMMUNE, "H77")), "agencies/1", "no agency"),
        (rig.request("DX-9", agencies=(DISTRICT,)), "agencies/0", "closes on 30/06/2025"),
        (information(asked_by="H77"), "asked_by", "no asking agency"),
        (information(agencies=()), "agencies", "names the agencies"),
        (information(agencies=(COMMUNE, rig.OFFICE)), "agencies/1", "does not ask itself"),
        (information(asked_by=DEPARTMENT), "regime", "whose receiver is the asking agency"),
        (information(regime="THIENTAI"), "regime", "no refusal or referral"),
        (information(withdrawn_at=NOW), "withdrawal_reason", "go together"),
        (information(withdrawal_reason="Nhầm"), "withdrawal_reason", "go together"),
        (
            information(withdrawn_at=NOW - timedelta(days=90), withdrawal_reason="Nhầm"),
            "withdrawn_at",
            "before it is issued",
        ),
    ],
)
def test_a_record_that_does_not_fit_is_told_where_and_why(record: RegistryEvent, place: str, what: str) -> None:
    told = messages(record)
    assert any(one.startswith(f"{place}:") and what in one for one in told), told


def test_a_withdrawal_is_final_and_the_asker_stays() -> None:
    withdrawn = information(withdrawn_at=NOW, withdrawal_reason="Đã có số liệu")
    stored = [*rig.records(), ASKING, withdrawn.model_copy(update={"version": 1})]
    assert messages(ASKING, withdrawn, stored=stored) == []
    again = information()
    assert messages(ASKING, again, stored=stored) == ["withdrawn_at: A request that was withdrawn stays so."]
    other = withdrawn.model_copy(update={"asked_by": None})
    assert messages(ASKING, other, stored=stored) == ["asked_by: Who asks for the information cannot change."]


def test_the_controls_what_is_close_to_these_fits() -> None:
    good = (
        ASKING,
        information(),
        information("TT-2", withdrawn_at=NOW, withdrawal_reason="Đã có số liệu"),
        sums(A=("B", "C"), B=("C",)),
        rig.regime("X", regime_version=9999, remind_working_days=60),
        rig.regime("X", submitters_except=(COMMUNE,)),
        rig.regime("X", submitter_kinds=(), submitter_parents=("H99",), submitters_except=(DEPARTMENT,)),
        rig.regime("X", submitter_parents=("H99",)),
        overriding(
            {"kinds": ["commune"], **MORE},
            {"parents": ["H99"], "reason": "Xa", "deadline": {"rule": "working_days_after_cutoff", "working_days": 9}},
            {"agencies": [COMMUNE], **MORE},
        ),
        rig.regime(
            "X",
            grace_working_days=2,
            lock_after_working_days=2,
            review_by=date(2020, 1, 2),
            rule_pack={"code": "X", "version": 1},
        ),
        form(
            figures=[
                *figures("A", type="integer", consolidation="sum", scale=6),
                *figures("B", type="percent", unit="%", fraction_digits=2, consolidation="average"),
            ],
            narratives=[{**NARRATIVE, "roles": ["results", "causes"]}],
            attachments=figures("A", required=True, kinds=["pdf"]),
        ),
        form(narratives=[{"code": f"n{n}", "label": "n", "min_characters": 20_000} for n in range(13)]),
        rig.request("DX-9", deadline=NOW + timedelta(seconds=1)),
        rig.regime("X", submitters=(DISTRICT,), receiver=DISTRICT, effective_from=date(2025, 6, 30)),
        rig.officer("cb-x", DEPARTMENT, name="Nguyễn Thị Hồng Ánh – “Bà Ánh”", title="P. Giám đốc (đầu mối)"),
    )
    for record in good:
        assert messages(record) == []
    with pytest.raises(ValueError, match="control character"):
        header_safe("A\x1bB")  # what the mail of such a name would have met


def test_a_sum_that_only_leads_into_a_circle_is_not_called_one() -> None:
    told = messages(sums(C=("A",), A=("B",), B=("A",)))
    assert [one.split(":")[0] for one in told] == ["form/sums/2/terms/0"]
    assert told[0].endswith("A → B → A.")


def test_each_circle_is_told_so_that_without_the_told_terms_none_is_left() -> None:
    rules = {"A": ["B", "C"], "B": ["A", "C"], "C": ["A", "B"]}
    errors = asked(sums(**rules)).errors
    assert errors
    for error in errors:
        number, place = (int(part) for part in error.place.split("/")[-3::2])
        rules["ABC"[number]][place] = ""
    left = {total: [term for term in terms if term] for total, terms in rules.items()}
    assert messages(sums(**{total: terms for total, terms in left.items() if terms})) == []


def test_a_long_circle_is_told_in_few_words_and_at_linear_cost() -> None:
    codes = [f"A{number:04}" for number in range(2000)]
    rules = [{"code": f"S{code}", "total": code, "terms": [codes[place - 1]]} for place, code in enumerate(codes)]
    [told] = messages(form(figures=figures(*codes), sums=rules))
    assert "→ … (1990) → A0000." in told
    assert len(told) < 300


def test_a_record_that_is_refused_is_still_there_for_those_that_name_it() -> None:
    [only] = messages(rig.agency(DEPARTMENT, parent="H99", name="a\nb"))
    assert only.startswith("name:")
    [only] = messages(rig.regime("THIENTAI", frequency="adhoc", deadline={"rule": "on_request"}, name=""))
    assert only.startswith("name:")


def test_what_is_stored_counts_as_there() -> None:
    assert messages(without="agency/H99") != []
    assert messages(without="agency/H99", stored=(rig.agency("H99", "province"),)) == []


def test_a_published_version_of_a_regime_never_changes() -> None:
    stored = rig.regime(version=1)
    assert messages(stored=(stored,)) == []
    [told] = messages(rig.regime(name="Khác"), stored=(stored,))
    assert told.startswith("name: Version 1 of KTXH is published and cannot change (name)")
    [told] = messages(rig.regime(form={**stored.form.model_dump(mode="json"), "nil_allowed": True}),
                      stored=(stored,))  # fmt: skip
    assert told.startswith("form/nil_allowed:")
    later = rig.regime(name="Khác", regime_version=2, effective_from=date(2021, 1, 1))
    assert messages(later, stored=(stored,)) == []


def test_a_version_published_under_older_rules_stays_as_it_is() -> None:
    old = rig.regime(name="hai\ndòng", version=1)
    assert messages(rig.regime(name="hai\ndòng"), stored=(old,)) == []
    assert messages(rig.regime(name="hai\ndòng")) != []
    assert messages(rig.regime(name="ba\ndòng"), stored=(old,)) != []


@pytest.mark.parametrize(
    ("stored", "changed"),
    [
        (rig.agency("H99.03", name="hai\ndòng"), rig.agency("H99.03", name="ba\ndòng")),
        (
            rig.officer("cb-x", DEPARTMENT, title="A\x1bB"),
            rig.officer("cb-x", DEPARTMENT, title="A\x1bC"),
        ),
    ],
    ids=["agency", "officer"],
)
def test_a_record_stored_under_older_rules_may_be_loaded_again_unchanged(
    stored: RegistryEvent, changed: RegistryEvent
) -> None:
    known = (stored.model_copy(update={"version": 4}),)
    assert messages(stored, stored=known) == []
    assert messages(stored) != []  # control: nothing like it is stored
    assert messages(changed, stored=known) != []


def test_a_request_that_is_stored_may_be_past_its_deadline() -> None:
    past = rig.request("DX-9", deadline=NOW - timedelta(days=1))
    assert messages(past, stored=(past.model_copy(update={"version": 1}),)) == []
    assert messages(past, past_requests=True) == []
    earlier = past.model_copy(update={"deadline": NOW - timedelta(days=2), "version": 1})
    assert len(messages(past, stored=(earlier,))) == 1


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"agencies": (COMMUNE, DEPARTMENT)}, "agencies/1"),
        ({"agencies": ()}, "agencies"),  # all whom the regime asks
        ({"issued_at": rig.request().issued_at + timedelta(hours=1)}, "issued_at"),
        ({"agencies": (COMMUNE,), "title": "Báo cáo bão số 3"}, ""),
        ({"withdrawn_at": NOW, "withdrawal_reason": "Bão tan"}, ""),
    ],
)
def test_a_request_past_its_deadline_asks_nobody_anew(changes: dict[str, Any], place: str) -> None:
    stored = rig.request("DX-9", deadline=NOW - timedelta(hours=1), agencies=(COMMUNE,), version=1)
    changed = stored.model_copy(update={"version": 0, **changes})
    expected = [f"{place}: The request's deadline has passed, so nobody more can be asked by it."] if place else []
    assert messages(changed, stored=(stored,)) == expected
    assert messages(changed, stored=(stored,), past_requests=True) == []
    ahead = {"deadline": NOW + timedelta(days=1)}
    assert messages(changed.model_copy(update=ahead), stored=(stored.model_copy(update=ahead),)) == []


def test_an_agency_that_a_request_names_exists_from_its_day_to_its_deadline() -> None:
    day, due = date(2026, 10, 1), date(2026, 10, 25)
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"opened_on": day, "closed_on": due}, []),
        ({"opened_on": day + timedelta(days=1)}, ["agencies/0"]),
        ({"closed_on": due - timedelta(days=1)}, ["agencies/0"]),
    ]
    for dates, places in cases:
        named = rig.request("DX-9", agencies=("H99.03",))
        said = {"open_obligations": "withdraw", "closing_reason": "Giải thể"} if "closed_on" in dates else {}
        agency = rig.agency("H99.03", **dates, **said)
        assert [one.split(":")[0] for one in messages(agency, named)] == places
        # it closed after it was asked: the request says what it said
        assert messages(agency, named, stored=(named.model_copy(update={"version": 1}),)) == []


WRONG = rig.regime(version=1)


_LATER = date(2026, 12, 31)
_TRANSFER = {"closed_on": _LATER, "open_obligations": "transfer", "successors": (COMMUNE,)}


@pytest.mark.parametrize(
    ("closing", "place", "what"),
    [
        ({"closed_on": _LATER}, "closed_on", "what becomes of the reports that are still owed"),
        ({"closed_on": _LATER, "successors": (COMMUNE,)}, "closed_on", "what becomes of the reports"),
        ({"closed_on": _LATER, "open_obligations": "transfer"}, "successors", "no successor to hand"),
        ({"closed_on": _LATER, "open_obligations": "withdraw"}, "closing_reason", "reason is missing"),
        ({"open_obligations": "transfer", "successors": (COMMUNE,)}, "open_obligations", "no closing day"),
        ({**_TRANSFER, "successors": (DISTRICT, COMMUNE)}, "successors/0", "closes on 30/06/2025"),
        ({**_TRANSFER, "successors": ("H99.77",)}, "successors/0", "opens on 02/01/2027"),
        ({**_TRANSFER, "successors": ("H99.78",)}, "successors/0", "closes on 31/12/2026, before 01/01/2027"),
        ({**_TRANSFER, "successors": ("H99.80",)}, "successors/0", "no successor"),
    ],
)
def test_a_closing_says_what_becomes_of_what_is_open(closing: dict[str, Any], place: str, what: str) -> None:
    others = [
        rig.agency("H99.77", opened_on=date(2027, 1, 2)),
        rig.agency("H99.78", closed_on=_LATER, open_obligations="withdraw", closing_reason="Giải thể"),
    ]
    found = messages(rig.agency(DEPARTMENT, parent="H99", **closing), *others)
    assert any(message.startswith(f"{place}: ") and what in message for message in found), found


def test_the_controls_what_says_so_may_close_and_what_is_past_or_stored_need_not() -> None:
    for closing in (
        _TRANSFER,
        {"closed_on": _LATER, "open_obligations": "withdraw", "closing_reason": "Giải thể"},
        {"closed_on": NOW.date() - timedelta(days=1)},  # had closed before it came here
    ):
        assert messages(rig.agency(DEPARTMENT, parent="H99", **closing)) == []
    known = rig.agency(DEPARTMENT, parent="H99", closed_on=_LATER, version=3)
    assert messages(known.model_copy(update={"name": "Tên mới"}), stored=[known]) == []
    # but an agency that was there and had not closed may have something open
    living = rig.agency(DEPARTMENT, parent="H99", version=3)
    closed = living.model_copy(update={"closed_on": NOW.date() - timedelta(days=1)})
    assert [message.partition(":")[0] for message in messages(closed, stored=[living])] == ["closed_on"]


def test_an_agency_may_move_below_one_that_was_below_it_before() -> None:
    """On no day do they form a circle: the other one has left by then."""
    moves = [_later("2027-01-01", DEPARTMENT)]
    other = rig.agency(DEPARTMENT, parent=COMMUNE, parents=[_later("2027-01-01", "H99")])
    assert messages(rig.agency(COMMUNE, "commune", parent="H99", parents=moves), other) == []
    early = [_later("2026-12-31", DEPARTMENT)]
    found = messages(rig.agency(COMMUNE, "commune", parent="H99", parents=early), other)
    assert any(message.startswith("parents/0: The parents form a circle") for message in found), found


def test_duties_never_go_round_in_a_circle() -> None:
    def handing(code: str, to: str, on: date) -> RegistryEvent:
        return rig.agency(code, parent="H99", closed_on=on, successors=(to,), open_obligations="transfer")

    day = timedelta(days=1)
    assert messages(handing(DEPARTMENT, COMMUNE, _LATER), handing(COMMUNE, "H99", _LATER + day)) == []
    for on in (_LATER - day, _LATER, _LATER + day):
        found = messages(handing(DEPARTMENT, COMMUNE, _LATER), handing(COMMUNE, DEPARTMENT, on))
        assert found, on
    # an heir that comes to close earlier is refused too, by its own record
    found = messages(
        rig.agency(COMMUNE, closed_on=_LATER, open_obligations="withdraw", closing_reason="Giải thể"),
        handing(DEPARTMENT, COMMUNE, _LATER),
    )
    assert any("hands its duties on to this agency" in message for message in found)


def replacing(**others: Any) -> RegimePublished:
    return rig.regime(**{"regime_version": 2, "replaces": 1, "replaces_reason": "Sai biểu mẫu", **others})


@pytest.mark.parametrize(
    ("record", "place", "what"),
    [
        (rig.regime(regime_version=2, name="Khác"), "effective_from", "on the same day"),
        (replacing(replaces=3), "replaces", "no older version 3"),
        (replacing(replaces=2), "replaces", "no older version 2"),
        (replacing(replaces_reason=""), "replaces_reason", "reason"),
        (replacing(effective_from=date(2021, 1, 1)), "effective_from", "must keep `effective_from`"),
        (replacing(frequency="quarterly"), "frequency", "must keep `frequency`"),
        (replacing(cutoff={"day": 20}), "cutoff", "must keep `cutoff`"),
    ],
)
def test_a_replacing_version_keeps_the_periods_and_says_why(record: RegimePublished, place: str, what: str) -> None:
    told = messages(record, without="regime/KTXH/1", stored=(WRONG,))
    assert any(one.startswith(f"{place}:") and what in one for one in told), told


def test_a_version_is_replaced_once_and_the_replacement_may_be_replaced() -> None:
    new = replacing(
        deadline={"rule": "day_of_month", "day": 25},
        legal_basis="Công văn đính chính",
        form={"narratives": [NARRATIVE]},
    )
    assert messages(new, stored=(WRONG,)) == []
    again = replacing(regime_version=3, replaces=2)
    stored = (WRONG, new.model_copy(update={"version": 1}))
    assert messages(again, stored=stored) == []
    [told] = messages(replacing(regime_version=3), stored=stored)
    assert told.startswith("replaces: Version 1 of KTXH is replaced twice (2, 3)")


def test_the_same_record_twice_is_told_with_both_places() -> None:
    proposals = proposed([*rig.records(), rig.agency(DEPARTMENT)])
    [told] = [error.message_en for error in admit(proposals, [], NOW).errors]
    assert told == "“agency/H99.01” is already at test.yaml:2."


@pytest.mark.parametrize("value", [None, 1, "x", [], [{}], {"code": []}, {"code": {"a": 1}}, {"form": [1]}, {"": 1}])
@pytest.mark.parametrize("kind", ["agency", "officer", "person", "regime", "request"])
def test_whatever_comes_is_told_with_a_pointer_and_no_file(kind: Any, value: object) -> None:
    errors = admit([Proposal(kind, value, Source())], [], NOW).errors
    assert errors
    assert all((error.file, error.line) == ("", 0) for error in errors)
    assert str(errors[0])[0] == "/"


def test_many_records_cost_in_proportion() -> None:
    """A chain of 3,000 parents and a form of 2,000 codes: once quadratic."""
    chain = [rig.agency("H99", "province")]
    for number in range(3_000):
        chain.append(rig.agency(f"H99.{number}", parent=chain[-1].code))
    errors = admit(proposed(chain), [], NOW).errors
    assert {error.message_en for error in errors} == {"It has more than 20 agencies above it."}


class Counted(list[Proposal]):
    """Proposals that count how many of them were looked at."""

    looked_at = 0

    def __iter__(self) -> Iterator[Proposal]:
        for proposal in super().__iter__():
            self.looked_at += 1
            yield proposal


def test_a_load_full_of_errors_stops_at_its_limit() -> None:
    bad = Counted(proposed([rig.agency(f"H99.{number}", name="") for number in range(MAX_ERRORS + 500)]))
    admission = admit(bad, [], NOW)
    assert (len(admission.errors), admission.cut, bad.looked_at) == (MAX_ERRORS, True, MAX_ERRORS + 1)
    # the control: fewer, and all are looked at
    fewer = Counted(bad[:MAX_ERRORS])
    admission = admit(fewer, [], NOW)
    assert (len(admission.errors), admission.cut, fewer.looked_at) == (MAX_ERRORS, False, MAX_ERRORS)


def test_errors_between_records_stop_at_the_limit_too() -> None:
    lost = [rig.agency(f"H99.{number}", parent="H77") for number in range(MAX_ERRORS + 500)]
    admission = admit(proposed(lost), [], NOW)
    assert (len(admission.errors), admission.cut) == (MAX_ERRORS, True)
    admission = admit(proposed(lost[:MAX_ERRORS]), [], NOW)
    assert (len(admission.errors), admission.cut) == (MAX_ERRORS, False), "exactly so many, and all of them told"
    admission = admit(proposed(lost[:500]), [], NOW)
    assert (len(admission.errors), admission.cut) == (500, False)


def test_thousands_of_versions_of_a_regime_cost_in_proportion() -> None:
    """Each asked all the others for their days: once quadratic."""

    class Counting(dict[int, RegimePublished]):
        asked = 0

        def __getitem__(self, number: int) -> RegimePublished:
            Counting.asked += 1
            return super().__getitem__(number)

        def items(self) -> Any:
            Counting.asked += len(self)
            return super().items()

    first = date(2020, 1, 1)
    regimes = [
        rig.regime(regime_version=number + 1, effective_from=first + timedelta(days=31 * number))
        for number in range(1_000)
    ]
    registry = Registry(regimes={"KTXH": Counting({regime.regime_version: regime for regime in regimes})})
    versions = Versions(registry)
    assert [versions.rival(regime) for regime in regimes] == [None] * 1_000
    assert 0 < Counting.asked < 5_000


def test_a_version_that_is_given_twice_is_told_and_breaks_nothing() -> None:
    twice = [rig.regime(), rig.regime(effective_from=date(2021, 1, 1))]
    told = [error.message_en for error in admit(proposed([*rig.records(), *twice]), [], NOW).errors]
    assert [one for one in told if "is already at" in one] == ["“regime/KTXH/1” is already at test.yaml:10."] * 2


@pytest.mark.parametrize(
    ("address", "usable"),
    [
        ("canbo@so-tc.h99.example", True),
        ("can.bo+tuan'1@xn--ph-hia.vn", True),
        (f"{'a' * 64}@example.vn", True),
        (f"{'a' * 65}@example.vn", False),
        (f"a@{'b' * 63}.vn", True),
        (f"a@{'b' * 64}.vn", False),
        (f"a@{'.'.join(['b' * 60] * 4)}.vn", True),
        (f"aaaaaaaaaaaa@{'.'.join(['b' * 60] * 4)}.vn", False),
        ("a@localhost", False),
        ("a@b..vn", False),
        ("a..b@example.vn", False),
        (".a@example.vn", False),
        ("a@-b.vn", False),
        ("a@example.vn\n", False),
        ("a@example.vn\r\nBcc: b@example.vn", False),
        ("cán.bộ@example.vn", False),
        ("a@phủ.vn", False),
        ('"a b"@example.vn', False),
        ("a@[127.0.0.1]", False),
        ("Tên <a@example.vn>", False),
        ("a@example.vn,b@example.vn", False),
    ],
)
def test_one_idea_of_an_address(address: str, usable: bool) -> None:
    assert usable_address(address) is usable
    assert (messages(rig.officer("cb-x", DEPARTMENT, email=address)) == []) is usable


def test_events_from_before_the_limits_are_still_read() -> None:
    old = rig.officer("cb/x", DEPARTMENT, name="A\nB", email="not an address")
    assert OfficerRegistered.model_validate_json(old.encode()) == old
    regime = rig.regime("a b", regime_version=2**40, name="", remind_working_days=-3, form=form(
        figures=figures("A", minimum="1e20")).form.model_dump())  # fmt: skip
    assert RegimePublished.model_validate_json(regime.encode()) == regime
    without = {name: value for name, value in json.loads(regime.encode()).items() if not name.startswith("replaces")}
    assert RegimePublished.model_validate_json(json.dumps(without)) == regime
    with pytest.raises(ValidationError):
        RegimePublished.model_validate_json(regime.encode(), context={"at_the_gate": True})


def test_the_largest_event_fits_its_topic() -> None:
    from deploy.kafka import provision

    [topic] = [topic for topic in provision.load() if topic.name == "registry"]
    assert int(topic.configs["max.message.bytes"]) - MAX_EVENT_BYTES >= 16 * 1024


def test_moments_keep_their_offsets() -> None:
    request = rig.request("DX-9", deadline=datetime.fromisoformat("2026-11-01T17:00:00+07:00"))
    admitted = {located.record.key: located.record for located in asked(request).records}
    assert admitted["request/DX-9"] == request
