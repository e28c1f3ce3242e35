"""Words of classification are found at the head of a text, whatever their case and diacritics, and nowhere else."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.reports.classified import HEAD_CHARACTERS, is_classified

WORDS = ("MẬT", "TỐI MẬT", "TUYỆT MẬT")


@pytest.mark.parametrize(
    "text",
    [
        "MẬT: báo cáo", "MẬT\nBáo cáo", "MẬT Báo cáo tình hình", "TUYỆT MẬT Báo cáo", "Tối mật báo cáo", "[MẬT] x",
        "(TỐI MẬT) x", "**MẬT** x", "  mật - abc", "ĐỘ MẬT: TỐI MẬT", "Độ mật: Mật", "MÂT", "ＭẬＴ", "TỐI\u00a0MẬT",
        "TỐI  MẬT.", "Mật. Báo cáo", "tuyet mat: x", "TUYET MAT",
    ],
)  # fmt: skip
def test_a_heading_is_found(text: str) -> None:
    assert is_classified(text)


@pytest.mark.parametrize(
    "text",
    [
        "Mật độ dân số tăng", "MẬT ĐỘ DÂN SỐ TĂNG", "Mặt bằng giá", "Mặt trận Tổ quốc", "MẶT TRẬN TỔ QUỐC", "Mất mùa",
        "MẤT ĐIỆN", "Mát", "mat bang gia", "Tôi mất xe", "toi mat xe", "Mật ong", "MẬT ONG RỪNG", "12", "",
        "Kết quả: mật", "Bảo mật thông tin", "Mắt", "Một số", "-5",
    ],
)  # fmt: skip
def test_what_merely_begins_alike_is_none(text: str) -> None:
    assert not is_classified(text)


@given(
    word=st.sampled_from(WORDS),
    case=st.sampled_from([str.upper, str.lower, str.title, str.capitalize, str.swapcase]),
    form=st.sampled_from(["NFC", "NFD", "bare"]),
    before=st.sampled_from(["", " ", "\n", "(", "[", "– ", "# ", '"']),
    after=st.sampled_from(["", ".", ":", "\n", " –", ")", "]", "\r\nBáo cáo"]),
)
def test_case_and_diacritics_make_no_difference(word: str, case: object, form: str, before: str, after: str) -> None:
    text = case(word)  # type: ignore[operator]
    if form == "bare":
        text = "".join(letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter))
    else:
        text = unicodedata.normalize(form, text)  # type: ignore[arg-type]
    assert is_classified(before + text + after)


@given(text=st.text(max_size=4 * HEAD_CHARACTERS))
def test_no_text_is_too_odd_to_be_looked_at(text: str) -> None:
    is_classified(text)
