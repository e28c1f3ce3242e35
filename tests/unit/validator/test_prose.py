"""What is said of prose: good office writing raises no alarm, garbled and padded writing has its own answer."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest

from services.validator.domain import Judgement
from services.validator.rules import legibility
from services.validator.rules.catalogue import RULES
from services.validator.rules.forms import FormError, compile_form
from shared.contract.events import Form, NarrativeField
from tests.unit.validator.office_prose import ABC, GOOD, VNI
from tests.unit.validator.reports import NARRATIVE, codes, judged

LONG = [text for text, _ in GOOD if len(text) > 150]


def one(text: str, form: dict[str, object] | None = None, **field: object) -> Judgement:
    narrative = NarrativeField(code="N", label="Đánh giá", label_en="Assessment", **field)
    return judged({}, {"N": text}, form=Form(narratives=(narrative,), **(form or {})))


def test_the_corpus_is_large_and_of_many_styles() -> None:
    assert len(GOOD) >= 60
    assert len({text for text, _ in GOOD}) == len(GOOD)


@pytest.mark.parametrize(("text", "roles"), GOOD)
def test_good_office_prose_raises_no_alarm(text: str, roles: tuple[str, ...]) -> None:
    syllables = sum(any(map(str.isalnum, word)) for word in text.split()) * 3 // 4
    for written in (text, unicodedata.normalize("NFD", text), f"\n{text}\n", text.upper()):
        judgement = one(written, min_characters=100, min_syllables=syllables, min_sentences=1, roles=roles)
        assert codes(judgement) == []


def _as(encoding: str) -> Callable[[str], str]:
    return lambda text: text.encode().decode(encoding, "replace")


@pytest.mark.parametrize("text", LONG)
@pytest.mark.parametrize("encoding", ["cp1252", "latin1", "cp1258"])
def test_utf_8_that_was_read_as_something_else_is_told(text: str, encoding: str) -> None:
    judgement = one(_as(encoding)(text), roles=["results"])
    (finding,) = judgement.findings
    assert (finding.code, finding.severity) == ("N09", "error")
    twice = one(_as("latin1")(_as("latin1")(text)))
    assert codes(twice) == ["N09"]
    assert twice.findings[0].expected is not None


def test_what_is_garbled_is_read_back() -> None:
    (finding,) = one(_as("latin1")(NARRATIVE)).findings
    assert finding.expected is not None
    assert NARRATIVE.startswith(finding.expected[:100])
    assert "Đọc đúng là “Trong kỳ, Ủy ban nhân dân xã" in finding.message


@pytest.mark.parametrize("text", LONG[:20])
def test_letters_that_became_question_marks_are_told(text: str) -> None:
    for lost in (text.encode("ascii", "replace").decode(), text.encode("ascii", "replace").decode().replace("?", "�")):
        (finding,) = one(lost).findings
        assert (finding.code, finding.expected) == ("N09", None)


@pytest.mark.parametrize(("texts", "font"), [(ABC, "TCVN3 (ABC)"), (VNI, "VNI Windows")])
def test_a_font_of_before_unicode_is_named_with_how_to_convert(texts: tuple[str, ...], font: str) -> None:
    for text in texts:
        (finding,) = one(text).findings
        assert finding.code == "N10"
        assert f"bảng mã nguồn {font}" in finding.fix
    assert "Báo cáo kết quả thực hiện nhiệm vụ tháng 9; phương hướng" in (one(texts[1]).findings[0].expected or "")
    assert (one(texts[0]).findings[0].expected or "").casefold().startswith("cộng hòa xã hội chủ nghĩa việt nam")


_TO_ABC = str.maketrans({letter: code for code, letter in legibility._TCVN3.items()})
_TO_VNI = str.maketrans({letter: code for code, letter in legibility._VNI.items()})


@pytest.mark.parametrize("text", LONG)
@pytest.mark.parametrize(("table", "font"), [(_TO_ABC, "TCVN3"), (_TO_VNI, "VNI")])
def test_prose_in_such_a_font_is_found(text: str, table: dict[int, str], font: str) -> None:
    written = text.translate(table)
    if text.isupper() and font == "TCVN3":
        return  # capitals with marks have a font of their own there
    (finding,) = one(written).findings
    assert finding.code == "N10"
    assert font in finding.message


@pytest.mark.parametrize(
    "text",
    [
        "Xã có 4 hộ người Đức: Müller, Schröder, Bäcker, Köhler đã được cấp thẻ tạm trú theo quy định hiện hành.",
        "Phường Đúc và xã Ái Nghĩa: «Một cửa» × 2 quầy, ± 5 phút, § 3 điều 7, nhiệt độ 30°C, bản quyền © 2026.",
        "Ai nộp? Khi nào? Ở đâu? Bằng gì? Vì sao chậm? Ai chịu trách nhiệm? Xã đã trả lời đủ sáu câu hỏi của tỉnh.",
        "Văn bản đăng tại https://h99.example/?a=1&b=2?c=3 và https://h99.example/?q=x?y=z?k=v?m=n?p=q là bản chính.",
        "NHÀ Ã, ĐÃ, XÃ, NGÃ BA, BÃI, LÃI, MÃ SỐ: các chữ có dấu ngã in hoa không phải lỗi mã hóa của văn bản.",
    ],
)
def test_what_looks_strange_and_is_not_garbled_is_left_alone(text: str) -> None:
    assert legibility.damage(text) is None


PADDED = {
    "spaces": "Đã thực hiện tốt.".replace(" ", " " * 70),
    "zero width": "Đã\u200b" + "\u200b" * 300 + " thực hiện tốt",
    "lines": "Đã\n" * 1 + " \n" * 200 + "thực hiện tốt",
}


@pytest.mark.parametrize("text", PADDED.values(), ids=PADDED)
def test_padding_by_what_nobody_sees_does_not_make_a_text_long_enough(text: str) -> None:
    assert len(text) > 200
    assert "N01" in codes(one(text, min_characters=100))


PASSAGE = "Cơ quan thực hiện tốt nhiệm vụ được giao trong kỳ và phối hợp chặt chẽ với đơn vị bạn"


@pytest.mark.parametrize(
    "text",
    [
        f"{PASSAGE}. {PASSAGE}!",  # twice is no repetition yet (N05 begins at three)
        f"{PASSAGE}, {PASSAGE.upper()}; {PASSAGE[:40]}.",
        "tốt " * 3 + PASSAGE + " rất" * 9 + " tốt",
    ],
)
def test_what_is_said_again_counts_once(text: str) -> None:
    judgement = one(text, min_syllables=30)
    assert len(text.split()) >= 30, "by mere number it is long enough"
    (finding,) = judgement.findings
    assert (finding.code, finding.severity, judgement.outcome) == ("N06", "warning", "accepted")
    assert "Đề nghị giải trình" in finding.fix
    assert judgement.present_items == 1  # a question takes nothing away
    counted = int(finding.provided or "")
    assert finding.difference == str(counted - 30)
    assert codes(one(text, min_syllables=counted)) == []


def test_the_same_least_length_in_characters_says_when_a_text_is_thin() -> None:
    text = f"{PASSAGE}. {PASSAGE}!"  # 175 characters, 20 syllables
    assert codes(one(text, min_characters=170)) == []
    assert codes(one(f"{text} {PASSAGE.upper()}?", min_characters=250)) == ["N06"]


def test_sentences_are_counted_and_abbreviations_end_none() -> None:
    text = "Xã đạt 1.234,5 tạ/ha; TP.HCM hỗ trợ giống mới. Kết quả rất tốt. Tốt."
    (finding,) = one(text, min_sentences=4).findings
    assert (finding.code, finding.provided) == ("N07", "3")
    assert codes(one(text, min_sentences=3)) == []
    assert codes(one("Kết quả rất tốt. " * 2 + "Đã xong việc.", min_sentences=3)) == ["N07"]


def test_a_section_that_does_not_speak_of_what_it_is_for_is_asked_about() -> None:
    text = "Trong kỳ, xã tổ chức 03 cuộc họp, ban hành 12 văn bản và phát 450 tờ rơi tại các chợ."
    (finding,) = one(text, roles=["results", "causes", "proposals"]).findings
    assert (finding.code, finding.severity) == ("N08", "warning")
    assert "chưa thấy nêu: nguyên nhân, kiến nghị, giải pháp." in finding.message
    assert "causes, proposals" in finding.message_en
    assert codes(one("In the period the commune held three meetings.", roles=["causes"])) == []


@pytest.mark.parametrize(
    ("severities", "text", "expected"),
    [
        ({}, ABC[0], ("N10", "error")),
        ({"N10": "info"}, ABC[0], ("N10", "warning")),
        ({"N04": "confirm"}, "đang cập nhật", ("N04", "warning")),
        ({"N04": "confirm"}, "ab " * 40, ("N05", "error")),
    ],
)
def test_a_regime_sets_the_severity_of_a_code(severities: dict[str, str], text: str, expected: tuple[str, str]) -> None:
    (finding,) = one(text, {"severities": severities}).findings
    assert (finding.code, finding.severity) == expected


def test_the_mapping_of_severities_stands_over_filler() -> None:
    judgement = one("đang cập nhật", {"filler": "explain", "severities": {"N04": "error"}})
    assert judgement.outcome == "returned"
    assert one("ab " * 40, {"filler": "explain", "severities": {"N04": "error"}}).outcome == "accepted"


@pytest.mark.parametrize(
    ("severities", "words"),
    [
        ({"N99": "info"}, "there is no finding N99"),
        ({"C01": "info"}, "C01 may not be info; its severity is the same everywhere"),
        ({"N04": "info"}, "N04 may not be info; it may be error or confirm"),
        ({"N09": "confirm"}, "N09 may not be confirm; it may be error or info"),
    ],
)
def test_a_severity_that_a_code_may_not_have_is_refused_with_the_form(severities: dict[str, str], words: str) -> None:
    with pytest.raises(FormError, match=words):
        compile_form(Form(severities=severities))


def test_what_makes_a_report_incomplete_or_wrong_is_nobody_s_choice() -> None:
    for code, rule in RULES.items():
        if code[0] in "SCVK":
            assert rule.weights == ()
