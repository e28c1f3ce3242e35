"""What is typed becomes the report and nothing else, by the same names in which findings come back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.board.entry import domain, views
from services.board.entry.domain import Content
from services.board.entry.views import Note, Source
from shared.contract.events.registry import FigureField, Form, NarrativeField, TableColumn, TableField
from shared.reports.report_parser import Report, read_report
from shared.runtime.clock import LOCAL_ZONE
from tests.fakes.compliance import obligation_changed

FORM = Form(
    figures=(FigureField(code="A.1", label="Thu", minimum="0", maximum="500"), FigureField(code="A_2", label="Chi")),
    tables=(
        TableField(
            code="T1", label="Hồ sơ", min_rows=0, max_rows=12,
            columns=(
                TableColumn(code="TEN", label="Tên", type="text"), TableColumn(code="SO", label="Số", type="integer"),
            ),
        ),
    ),
    narratives=(NarrativeField(code="N1", label="Kết quả"),),
)  # fmt: skip
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=20)
CONTENT = st.builds(
    Content,
    officer=st.just("CB-1"),
    answer=st.sampled_from(domain.ANSWERS),
    reason=TEXT,
    refer_to=st.just("H99.01"),
    figures=st.dictionaries(st.sampled_from(["A.1", "A_2"]), TEXT),
    narratives=st.dictionaries(st.just("N1"), TEXT),
    tables=st.dictionaries(
        st.just("T1"),
        st.lists(st.dictionaries(st.sampled_from(["TEN", "SO"]), TEXT, min_size=1), min_size=1, max_size=4),
    ),
)


def fields_of(content: Content) -> dict[str, str]:
    """The form as a browser sends it."""
    lines = {pointer: text.replace("\n", "\r\n") for pointer, text in content.texts}
    return {"/officer": content.officer, "answer": content.answer, **lines}


def without_blanks(content: Content) -> Content:
    def texts(found: Mapping[str, str]) -> dict[str, str]:
        return {code: text for code, text in found.items() if not text.isspace()}

    rows = {code: [row for row in map(texts, given) if row] for code, given in content.tables.items()}
    return msgspec.structs.replace(
        content, reason=content.reason if not content.reason.isspace() else "", figures=texts(content.figures),
        narratives=texts(content.narratives), tables={code: given for code, given in rows.items() if given},
    )  # fmt: skip


@given(CONTENT)
def test_what_the_form_shows_comes_back_as_it_was(content: Content) -> None:
    typed = domain.typed(fields_of(content), FORM)
    assert typed == without_blanks(content)
    assert domain.decode(typed.encode()) == typed


@given(CONTENT)
def test_every_report_is_one_that_intake_reads_unless_it_is_classified_or_gives_no_reason(content: Content) -> None:
    typed = domain.typed(fields_of(content), FORM)
    read = read_report(msgspec.json.encode(domain.report(typed, "BC", "2026-M10")))
    sent_classified = [one for one in typed.classified if (one == "/nil_reason") == (typed.answer != "report")]
    if sent_classified or (typed.answer != "report" and not typed.reason):
        assert not isinstance(read, Report)
    else:
        assert isinstance(read, Report), read
        assert (read.nil, read.officer) == (typed.answer != "report", "CB-1")
        assert set(read.figures) == (set(typed.figures) if typed.answer == "report" else set())


def test_blank_rows_fall_out_and_nothing_else_of_the_form_is_taken() -> None:
    fields = {
        "/tables/T1/0/TEN": " ", "/tables/T1/3/TEN": "b", "/tables/T1/1/SO": "1", "/tables/T1/01/NO": "x",
        "/tables/T2/0/TEN": "x", "/tables/T1/9999/TEN": "x", "/tables/T1/-1/TEN": "x", "/tables/T1/²/TEN": "x",
        "/figures/B": "x", "/figures/A.1": " 1 ", "csrf": "x", "answer": "something",
    }  # fmt: skip
    typed = domain.typed(fields, FORM)
    assert typed == Content(figures={"A.1": " 1 "}, tables={"T1": [{"SO": "1"}, {"TEN": "b"}]})


def test_classified_words_are_found_in_every_text() -> None:
    secret = "MẬT: số liệu"
    content = Content(
        reason=secret, refer_to=secret, figures={"A.1": secret}, narratives={"N1": secret},
        tables={"T1": [{"SO": "1"}, {"TEN": secret}]},
    )  # fmt: skip
    assert content.classified == ["/nil_reason", "/refer_to", "/figures/A.1", "/narratives/N1", "/tables/T1/1/TEN"]
    assert Content(figures={"A.1": "mật độ 5"}).classified == []


def test_the_key_is_of_the_report_and_of_what_it_follows() -> None:
    body: dict[str, Any] = domain.report(Content(figures={"A.1": "1"}), "BC", "2026-M10")
    key = domain.idempotency_key("H99/BC/2026-M10", 0, body)
    assert key == domain.idempotency_key("H99/BC/2026-M10", 0, {**body})
    others = {
        domain.idempotency_key("H99/BC/2026-M10", 1, body),
        domain.idempotency_key("H98/BC/2026-M10", 0, body),
        domain.idempotency_key("H99/BC/2026-M10", 0, {**body, "officer": "x"}),
    }
    assert len({key, *others}) == 4


@pytest.mark.parametrize(
    ("filled", "more", "shown"), [(0, 0, 5), (0, 1, 12), (3, 0, 5), (11, 0, 12), (12, 1, 12), (14, 0, 14)]
)
def test_a_table_shows_empty_rows_as_far_as_it_may_have_them(filled: int, more: int, shown: int) -> None:
    content = Content(tables={"T1": [{"SO": "1"}] * filled})
    assert len(domain.rows_shown(FORM.tables[0], content, more)) == shown


@pytest.mark.parametrize(
    ("pointer", "at"),
    [
        ("/figures/A.1", "/figures/A.1"),
        ("/tables/T1/0/SO", "/tables/T1/0/SO"),
        ("/tables/T1/7/SO", "/tables/T1"),
        ("/tables/T1/0/NO", "/tables/T1"),
        ("/figures/NO", ""),
        ("/narratives/N1", "/narratives/N1"),
        ("/officer", "/officer"),
        ("/nil_reason", "/nil_reason"),
        ("/refer_to", "/refer_to"),
        ("/period", ""),
        ("", ""),
        ("no pointer", ""),
    ],
)
def test_a_finding_stands_at_its_field_or_the_nearest_around_it(pointer: str, at: str) -> None:
    content = Content(tables={"T1": [{"SO": "1"}]})
    found = views.notes([(pointer, Note("error", ("Sai", "Wrong")))] * 2, FORM, content)
    assert {place: len(notes) for place, notes in found.placed.items()} == {at: 1}
    assert found.returns(at)


def test_errors_come_first_and_waived_findings_last() -> None:
    findings = [
        {"code": "W", "severity": "warning", "message": "w", "waived": {"waiver_id": "1"}},
        {"code": "I", "severity": "warning", "message": "i"},
        {"code": "C", "severity": "warning", "weight": "confirm", "message": "c"},
        {"code": "E", "severity": "error", "path": "/figures/A.1", "message": "e", "message_en": "e2"},
        {"message": "no code"}, "nothing",
    ]  # fmt: skip
    found = views.notes(views.of_findings(findings), FORM, Content())
    assert [(pointer, note.code, note.text) for pointer, note in found.all] == [
        ("/figures/A.1", "E", ("e", "e2")), ("", "C", ("c", "c")), ("", "I", ("i", "i")), ("", "W", ("w", "w")),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ({"errors": [{"pointer": "/officer", "message": "A", "message_en": "B"}]}, [("/officer", ("A", "B"))]),
        ({"errors": [{"pointer": "", "fix": "F"}, "E"], "title": "T"}, [("", ("T", "T"))]),
        ({"errors": "none", "detail": "D", "title": "T"}, [("", ("D", "D"))]),
        ({"title": "T", "title_en": "U"}, [("", ("T", "U"))]),
        ({}, []),
    ],
)
def test_a_refusal_is_told_in_its_own_words(problem: Mapping[str, Any], said: list[Any]) -> None:
    assert [(pointer, note.text) for pointer, note in views.of_errors(problem)] == said


def test_what_is_wrong_comes_with_how_to_mend_it() -> None:
    said = {"message": "Sai", "message_en": "Wrong", "fix": "Sửa", "fix_en": "Mend", "code": "E", "path": "/officer"}
    for found in (views.of_errors({"errors": [said | {"pointer": "/officer"}]}), views.of_findings([said])):
        assert [(pointer, note.text, note.fix) for pointer, note in found] == [
            ("/officer", ("Sai", "Wrong"), ("Sửa", "Mend"))
        ]


def test_what_was_sent_is_filled_in_again() -> None:
    detail = {
        "officer": "CB-1", "nil": True, "declines": "referral", "refer_to": "H99.01", "nil_reason": "Không giữ",
        "figures": {"A.1": "1", "A_2": None}, "narratives": {"N1": "Đã làm"},
        "tables": {"T1": [{"SO": "1", "TEN": None}], "T2": None},
    }  # fmt: skip
    assert domain.sent(detail) == Content(
        "CB-1", "referral", "Không giữ", "H99.01", {"A.1": "1"}, {"N1": "Đã làm"}, {"T1": [{"SO": "1"}]}
    )
    assert domain.sent({"nil": True}).answer == "nil"
    assert domain.sent({"figures": 7, "tables": [1], "nil": "yes"}) == Content()


def test_earlier_values_are_shown_where_they_differ_or_always() -> None:
    typed = Content(figures={"A.1": "1", "A_2": "2"}, tables={"T1": [{"SO": "1"}]})
    same, other = Source(("s", "s"), typed), Source(("o", "o"), Content(figures={"A.1": "9"}))
    assert [same.value(f"/figures/{code}", typed) for code in ("A.1", "A_2")] == ["", ""]
    assert [other.value(f"/figures/{code}", typed) for code in ("A.1", "A_2")] == ["9", "–"]
    assert (same.rows(FORM.tables[0], typed), other.rows(FORM.tables[0], typed)) == ((), [])
    blank = Source(("b", "b"), Content())
    assert [blank.value(f"/figures/{code}", Content()) for code in ("A.1", "A_2")] == ["", ""], "blank in both"
    before = Source(("p", "p"), typed, always=True)
    assert (before.value("/figures/A.1", typed), before.value("/narratives/N1", typed)) == ("1", "")
    assert before.rows(FORM.tables[0], typed) == [{"SO": "1"}]


def test_hints_say_what_may_stand_there() -> None:
    money = FigureField(code="A", label="Thu", unit="đồng", scale=9, minimum="-5", fraction_digits=3)
    assert views.unit_of(money) == ("tỷ đồng", "billion đồng")
    assert views.hint(money)[1] == "at least -5; at most 3 digits after the point"
    assert [views.keyboard(one) for one in (money, FORM.figures[0])] == ["text", "numeric"]
    assert views.hint(FigureField(code="A", label="X", kind="text", max_characters=20))[0] == "nhiều nhất 20 ký tự"
    choice = TableColumn(code="C", label="Mức", type="choice", choices=("Cao",))
    assert views.hint(choice) == ("", "")
    assert views.hint(TableColumn(code="C", label="Tên", type="text", max_characters=9))[1] == "at most 9 characters"
    bounded = [FigureField(code="A", label="X", minimum="0", maximum=maximum) for maximum in ("9" * 15, "9" * 16)]
    assert [views.hint(one)[1] for one in bounded] == [
        f"from 0 to {'9' * 15}; a whole number", "at least 0; a whole number",
    ]  # fmt: skip
    assert views.hint(FigureField(code="A", label="X", minimum=None, maximum="7"))[0] == "không lớn hơn 7; số nguyên"
    in_million = TableColumn(code="C", label="Chi", label_en="Spent", type="integer", unit="đồng", scale=6)
    assert views.column_named(in_million) == ("Chi (triệu đồng)", "Spent (million đồng)")
    assert views.column_named(choice) == ("Mức", "Mức")
    prose = NarrativeField(
        code="N", label="N", roles=("causes", "proposals"), min_characters=20, min_syllables=5, min_sentences=2,
        max_characters=900,
    )  # fmt: skip
    assert views.narrative_hint(prose) == (
        "nguyên nhân, kiến nghị; ít nhất 20 ký tự; ít nhất 5 tiếng; ít nhất 2 câu; nhiều nhất 900 ký tự",
        "causes, proposals; at least 20 characters; at least 5 syllables; at least 2 sentences; at most 900 characters",
    )
    plain = NarrativeField(code="N", label="N", min_characters=0, max_characters=900)
    assert views.narrative_hint(plain) == ("nhiều nhất 900 ký tự", "at most 900 characters")
    assert views.label("/tables/T1/2/SO", FORM) == ("T1 – Hồ sơ, dòng 3, Số", "T1 – Hồ sơ, row 3, Số")
    assert views.label("/tables/T1/2/NO", FORM) == ("T1 – Hồ sơ, dòng 3, NO", "T1 – Hồ sơ, row 3, NO")
    assert views.label("/tables/T1", FORM) == ("T1 – Hồ sơ", "T1 – Hồ sơ")
    assert views.label("/tables/T2", FORM) == views.label("/figures/T2", FORM) == ("T2", "T2")
    assert [views.label(f"/{name}", FORM)[1] for name in ("officer", "nil_reason", "refer_to", "period")] == [
        "Who answers for the report", "Reason", "The agency that has the information", "/period",
    ]  # fmt: skip
    assert [views.is_day(text) for text in ("2026-10-01", "20261001", "1/10/2026")] == [True, False, False]


def test_what_stands_before_sending_is_said_with_what_is_possible() -> None:
    at = datetime(2026, 10, 22, 9, tzinfo=LOCAL_ZONE)
    hour = timedelta(hours=1)

    def said(unlocked_until: datetime | None = None, **state: Any) -> str:
        given_state = {"deadline": at + hour, "at": at, **state}
        obligation = obligation_changed("H99.01", "BC", "2026-M10", version=1, **given_state)
        return " ".join(en for _, en in views.standing(obligation, unlocked_until, at))

    assert said() == ""
    assert "counts as late" in said(deadline=at - hour)
    locked: dict[str, Any] = {"deadline": at - 2 * hour, "locks_at": at - hour}
    assert "Locked since" in said(**locked)
    assert "Locked since" in said(at - hour, **locked)
    assert "it is taken until 10:00 22/10/2026" in said(at + hour, **locked)
    assert "taken after that day" not in said(cutoff_to=at.date() - timedelta(days=1))
    assert "taken after that day" in said(cutoff_to=at.date())
    assert "owed no more" in said(owed=False)
    assert "gone to agency H99.02" in said(transferred_to="H99.02")
    assert "Version 3 is accepted" in said(answer_version=3)
    rework: dict[str, Any] = {"rework_version": 2, "rework_reason": "Thiếu", "rework_until": at + hour}
    assert "sent version 2 back" in said(received_version=2, **rework)
    assert "sent version 2 back" not in said(received_version=3, **rework)
    # what corrects it within the term counts by the receipt of what it corrects: it is not said to be late
    late: dict[str, Any] = {"deadline": at - hour, "rework_version": 2, "rework_reason": "Thiếu", "received_version": 2}
    assert "counts as late" not in said(**late, rework_until=at)
    assert "counts as late" in said(**late, rework_until=at - timedelta(microseconds=1))
    assert "counts as late" in said(**late | {"received_version": 3}, rework_until=at)
