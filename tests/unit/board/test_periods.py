"""How a period closed, in figures and in the words of an office."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import msgspec
import pypdfium2
import pytest
import rfc8785

from services.board.periods import files
from services.board.periods.choice import ends_on, newest_ended, recent
from services.board.periods.figures import (
    Agency,
    Count,
    Figures,
    Item,
    Regime,
    from_bytes,
    hash_of,
    in_order,
    same,
    total_of,
)
from services.board.periods.report import MOST_PRINTED, document_of
from shared.contract.period import PeriodError

AS_OF = datetime(2026, 10, 22, 2, tzinfo=UTC)
DEADLINE = datetime(2026, 10, 19, 10, tzinfo=UTC)
#: every letter of Vietnamese with a mark
LETTERS = "ăâđêôơưàảãáạằẳẵắặầẩẫấậèẻẽéẹềểễếệìỉĩíịòỏõóọồổỗốộờởỡớợùủũúụừửữứựỳỷỹýỵ"


def item(agency: str, state: Any = "nothing_sent", days: int = 3) -> Item:
    return Item(
        agency=agency, regime="BC", deadline=DEADLINE.isoformat(), state=state, days_late=days, reminded=2
    )  # fmt: skip


def figures(**changes: Any) -> Figures:
    counts = {"H99.1": Count(owed=3, on_time=3), "H99.2": Count(owed=3, on_time=1, late=1, missing=1, returned=1)}
    agencies = in_order(Agency(code=code, name=f"Sở {code}", name_en="", count=c) for code, c in counts.items())
    given = {
        "period": "2026-M10", "title": "", "title_en": "", "as_of": AS_OF.isoformat(),
        "issuer": "Văn phòng Ủy ban nhân dân tỉnh", "issuer_above": "Ủy ban nhân dân tỉnh",
        "total": total_of(counts.values()),
        "regimes": (Regime(code="BC", name="Báo cáo tháng", name_en="Monthly", count=total_of(counts.values())),),
        "agencies": agencies, "missing": (item("H99.2", "returned"),), "late": (item("H99.2", "late", 1),),
    }  # fmt: skip
    return Figures(**{**given, **changes})


def test_who_misses_most_comes_first_and_sums_are_sums() -> None:
    found = figures()
    assert [one.code for one in found.agencies] == ["H99.2", "H99.1"]
    assert found.total == Count(owed=6, on_time=4, late=1, missing=1, returned=1)
    assert found.total.accepted == 5


def test_what_is_not_due_or_not_judged_makes_the_figures_provisional() -> None:
    assert not figures().provisional
    assert figures(total=Count(owed=1, not_due=1)).provisional
    assert figures(total=Count(owed=1, missing=1, awaiting=1)).provisional


def test_the_hash_is_of_the_canonical_json_that_anybody_can_make() -> None:
    document = figures().encoded()
    assert document == rfc8785.dumps(msgspec.to_builtins(figures()))
    assert hash_of(document) == sha256(document).hexdigest()
    assert from_bytes(document) == figures()


def test_the_same_figures_of_another_moment_are_the_same() -> None:
    later = figures(as_of=(AS_OF + timedelta(hours=1)).isoformat())
    assert same(figures(), later)
    assert not same(figures(), figures(total=Count(owed=7)))


def test_periods_to_choose_from_end_with_this_year_and_the_latest_end_comes_first() -> None:
    found = recent(date(2026, 10, 22))
    assert len(found) == len(set(found)) == 2 * (12 + 4 + 2 + 1 + 1) + 52 + 53
    assert [ends_on(one) for one in found] == sorted((ends_on(one) for one in found), reverse=True)
    assert {"2026-M09", "2026-Q3", "2025", "2026-9M", "2025-H1", "2026-W53"} <= set(found)


@pytest.mark.parametrize(
    ("period", "last"),
    [("2026-W07", date(2026, 2, 15)), ("2024-M02", date(2024, 2, 29)), ("2026-Q3", date(2026, 9, 30)),
     ("2026-H1", date(2026, 6, 30)), ("2026-9M", date(2026, 9, 30)), ("2026", date(2026, 12, 31))],
)  # fmt: skip
def test_a_periods_last_day(period: str, last: date) -> None:
    assert ends_on(period) == last


def test_a_request_has_no_last_day_here() -> None:
    with pytest.raises(PeriodError):
        ends_on("DX-2026-003")


def test_the_first_page_is_of_the_newest_period_that_has_ended() -> None:
    assert newest_ended(["2026-M10", "2026-M09", "2026-M08"], date(2026, 10, 22)) == "2026-M09"
    assert newest_ended(["2026-M10"], date(2026, 10, 22)) == "2026-M10"
    assert newest_ended([], date(2026, 10, 22)) is None


def words_of(document: Any) -> str:
    return msgspec.json.encode(document).decode()


def test_the_report_states_what_is_missing_since_when_and_how_often_it_was_asked_for() -> None:
    document = document_of(figures(), None)
    assert document["subject"] == "Tình hình thực hiện chế độ báo cáo tháng 10/2026"
    assert document["issuer"] == "VĂN PHÒNG ỦY BAN NHÂN DÂN TỈNH"
    assert document["provisional"] == "SỐ LIỆU CHƯA CHỐT"
    general, missing, late, asked = document["sections"]
    assert "2 cơ quan phải gửi 6 báo cáo theo 1 chế độ" in general["text"][0]
    assert "Trong số báo cáo chưa được chấp nhận có 1 báo cáo bị trả lại để sửa." in general["text"]
    assert general["table"]["rows"][-1] == ["", "Tổng số", "6", "4", "1", "1", "0"]
    assert missing["table"]["rows"] == [["1", "Sở H99.2", "Báo cáo tháng", "17:00 19/10/2026", "3", "Trả lại", "2"]]
    assert late["table"]["rows"][0][4:] == ["1", "2"]
    assert asked["text"][0].startswith("Các cơ quan nêu tại mục II gửi báo cáo")
    assert "09 giờ 00 phút ngày 22 tháng 10 năm 2026" in document["opening"]


def test_frozen_figures_bear_their_hash_and_an_open_period_is_provisional_all_the_same() -> None:
    assert document_of(figures(), "ab" * 32)["provisional"] == ""
    assert "ab" * 32 in document_of(figures(), "ab" * 32)["source"]
    still_open = figures(total=Count(owed=2, not_due=2))
    assert "TẠM TÍNH" in document_of(still_open, "ab" * 32)["provisional"]


def test_where_nothing_is_missing_nobody_is_asked_for_it() -> None:
    document = document_of(figures(missing=(), late=()), None)
    assert document["sections"][1] == {
        "head": "II. BÁO CÁO CÒN THIẾU", "text": ["Không có báo cáo nào còn thiếu."], "table": None,
    }  # fmt: skip
    assert "mục II" not in words_of(document["sections"][3])
    assert "để thực hiện" not in words_of(document)


def test_a_long_list_says_how_much_of_it_is_printed() -> None:
    many = tuple(item(f"H99.{number}") for number in range(MOST_PRINTED + 1))
    section = document_of(figures(missing=many, total=Count(owed=900, missing=900)), None)["sections"][1]
    assert len(section["table"]["rows"]) == MOST_PRINTED
    assert f"{MOST_PRINTED} báo cáo có hạn nộp sớm nhất" in section["text"][-1]


def test_the_state_of_a_report_is_no_reproach() -> None:
    assert not re.search("lỗi|vi phạm|yếu kém|phê bình", words_of(document_of(figures(), None)), re.IGNORECASE)


async def test_the_pdf_has_every_letter_and_no_name_is_markup() -> None:
    """PDF/A-2b. A name such as these would be a formula, a call or a heading of the typesetter's language."""
    hostile = "#panic() $x^2$ = <a> *b* _c_ @d"
    made = await files.Press().pdf(document_of(figures(issuer=f"{LETTERS} {hostile}"), None))
    assert made.startswith(b"%PDF-")
    assert b"pdfaid:part>2<" in made
    assert b"pdfaid:conformance>B<" in made
    said = " ".join(page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(made))
    squeezed = "".join(said.split())
    assert "".join(f"{LETTERS} {hostile}".split()) in squeezed
    assert LETTERS.upper() in squeezed


def test_the_word_file_is_sound_whatever_a_name_holds() -> None:
    made = files.word(document_of(figures(issuer='Sở <A & B> "{{ 1 + 1 }}"', title="x"), None))
    body = zipfile.ZipFile(io.BytesIO(made)).read("word/document.xml").decode()
    assert "Sở &lt;A &amp; B&gt;" in body
    assert "{{ 1 + 1 }}" in body, "no name is a template"
    assert "Trả lại" in body
    assert not re.search("{%|%}", body)


def test_the_spreadsheet_has_numbers_as_numbers_and_no_name_is_a_formula() -> None:
    agencies = (Agency(code="H99.2", name="=1+1", name_en="@x", count=Count(owed=3, missing=1)),)
    made = files.spreadsheet(figures(agencies=agencies), "Số liệu lúc …", "vi")
    book = zipfile.ZipFile(io.BytesIO(made))
    sheets = [book.read(f"xl/worksheets/sheet{number}.xml").decode() for number in (1, 2, 3, 4)]
    assert "<f>" not in "".join(sheets)
    assert "=1+1" in sheets[1]
    assert re.search(r'<c r="C3"><v>3</v></c>', sheets[1])
    assert "Trả lại" in sheets[2]
    assert "@x" in zipfile.ZipFile(io.BytesIO(files.spreadsheet(figures(agencies=agencies), "…", "en"))).read(
        "xl/worksheets/sheet2.xml"
    ).decode()  # fmt: skip
