"""Outside text: safe by UAX #15, the same text otherwise, at a cost that grows as its length does."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract import text
from shared.contract.text import (
    JOINER,
    MAX_NON_STARTERS,
    header_safe,
    is_stream_safe,
    may_hold_long_runs,
    nfc,
    nfkc,
    nfkd,
    stream_safe,
)
from tests.unit.growth import SQUARE_FROM, growth

ACUTE = "\u0301"  # class 230
BELOW = "\u0323"  # class 220
#: all combining marks, those of the highest class first: the order that sorting by insertion takes longest for
DESCENDING = "".join(
    sorted((chr(point) for point in range(0x300, 0x1F000) if unicodedata.combining(chr(point))),
           key=unicodedata.combining, reverse=True)
)  # fmt: skip


def descending(count: int) -> str:
    """`a` and `count` marks, half of a higher class before half of a lower."""
    return "a" + ACUTE * (count // 2) + BELOW * (count - count // 2)


def by_the_book(given_text: str) -> str:
    """The Stream-Safe Text Process of UAX #15 §13, word for word, character by character."""
    out: list[str] = []
    count = 0
    for character in given_text:
        kinds = [unicodedata.combining(part) for part in unicodedata.normalize("NFKD", character)]
        initial = next((place for place, kind in enumerate(kinds) if not kind), len(kinds))
        trailing = next((place for place, kind in enumerate(reversed(kinds)) if not kind), len(kinds))
        if count + initial > MAX_NON_STARTERS:
            out.append(JOINER)
            count = 0
        count = count + initial if initial == len(kinds) else trailing
        out.append(character)
    return "".join(out)


@pytest.mark.parametrize(
    "kept",
    [
        "",
        "ASCII only",
        "Thu ngân sách nhà nước đạt 92% dự toán – tăng so với cùng kỳ.",
        unicodedata.normalize("NFD", "Thu ngân sách nhà nước đạt 92% dự toán; được mùa, giá ổn định. " * 40),
        "報告書を提出する" * 50,
        "😀" * 100,
        "a" + ACUTE * 30,
        "ấ" + ACUTE * 28,  # the letter itself ends in two
        ("a" + ACUTE * 30) * 100,
        "\u0344" * 15,
        "\ud800" + "😀" * 20,
    ],
)
def test_text_with_at_most_30_marks_in_a_run_stays_the_same_object(kept: str) -> None:
    assert is_stream_safe(kept)
    assert stream_safe(kept) is kept
    assert by_the_book(kept) == kept


@pytest.mark.parametrize(
    ("sent", "made"),
    [
        ("a" + ACUTE * 31, "a" + ACUTE * 30 + JOINER + ACUTE),
        ("ấ" + ACUTE * 29, "ấ" + ACUTE * 28 + JOINER + ACUTE),
        (ACUTE * 61 + "b", ACUTE * 30 + JOINER + ACUTE * 30 + JOINER + ACUTE + "b"),
        ("\u0344" * 16, "\u0344" * 15 + JOINER + "\u0344"),
        (ACUTE + "\u0344" * 15, ACUTE + "\u0344" * 14 + JOINER + "\u0344"),  # 29, and two more do not fit
        ("a" + "\U0001e8d0" * 31, "a" + "\U0001e8d0" * 30 + JOINER + "\U0001e8d0"),
        ("a" + "\U00011000" + "\uff9e" * 31 + "\ud800", "a\U00011000" + "\uff9e" * 30 + JOINER + "\uff9e\ud800"),
    ],
)
def test_a_longer_run_is_parted_by_the_joiner(sent: str, made: str) -> None:
    assert stream_safe(sent) == made == by_the_book(sent)
    assert not is_stream_safe(sent)
    assert stream_safe(made) is made


_runs = st.lists(
    st.tuples(
        st.sampled_from("aấ\u1f82\u0f40か가\u0dd9\uff76\u3300\ufc60\u0344\u0f73\U0001e944\U0001d15e\U00012000😀é"),
        st.text(alphabet=st.sampled_from(DESCENDING + "\u0344\u0f73\u0f75\u0f81\uff9e\uff9f"), max_size=70),
    ),
    max_size=6,
).map(lambda runs: "".join(letter + marks for letter, marks in runs))  # fmt: skip


@given(_runs | st.text(max_size=50))
def test_it_is_what_the_book_says_whatever_the_text(sent: str) -> None:
    made = stream_safe(sent)
    assert made == by_the_book(sent)
    assert made.replace(JOINER, "") == sent.replace(JOINER, "")
    assert is_stream_safe(nfc(sent))


@given(_runs)
def test_safe_text_is_normalised_as_ever(sent: str) -> None:
    safe = by_the_book(sent)
    assert nfc(sent) == unicodedata.normalize("NFC", safe)
    assert nfkc(sent) == unicodedata.normalize("NFKC", safe)


def test_no_character_is_missing_from_what_counts_as_a_mark() -> None:
    """A newer Unicode may bring more: then the constants of shared/contract/text.py are to be looked at again."""
    twice = []
    folded = []
    for point in (*range(0xD800), *range(0xE000, 0x110000)):
        character = chr(point)
        kinds = [unicodedata.combining(part) for part in unicodedata.normalize("NFKD", character)]
        leading = next((place for place, kind in enumerate(kinds) if not kind), len(kinds))
        if not leading:
            trailing = next((place for place, kind in enumerate(reversed(kinds)) if not kind), len(kinds))
            assert trailing <= 3
            continue
        assert point in text._MARK_POINTS
        assert leading == len(kinds) <= 2
        if leading == 2:
            twice.append(character)
        elif not unicodedata.combining(character):
            folded.append(character)
    assert ("".join(twice), "".join(folded)) == (text._DOUBLES, text._FOLDED)


def test_the_class_of_marks_holds_them_all_and_within_the_bmp_nothing_else() -> None:
    held = set(re.findall(f"[{text._mark_class()}]", "".join(map(chr, range(0x1F000)))))
    marks = set(DESCENDING + text._DOUBLES + text._FOLDED)
    assert marks <= held
    beyond = sorted(character for character in marks if ord(character) > 0xFFFF)
    assert held - marks <= set(map(chr, range(ord(beyond[0]), ord(beyond[-1]))))


def test_each_form_is_that_of_unicode() -> None:
    for sent in ("ﬁ ２ ấ", unicodedata.normalize("NFD", "Thống kê ước đạt")):
        assert [form(sent) for form in (nfc, nfkc, nfkd)] == [
            unicodedata.normalize(form, sent) for form in ("NFC", "NFKC", "NFKD")
        ]


def test_what_becomes_a_header_holds_no_control_character() -> None:
    fine = "Báo cáo tuần ~ \u00a0 \u2027 \u202a €!"
    assert header_safe(fine) is fine
    for point in (0x00, 0x0A, 0x0D, 0x1F, 0x7F, 0x80, 0x9F, 0x2028, 0x2029):
        with pytest.raises(ValueError, match=f"control character U\\+{point:04X} in"):
            header_safe(f"Báo cáo{chr(point)}x")


def test_vietnamese_never_needs_the_slow_look() -> None:
    composed = "Nghiễm nhiên, khuỷu tay; đường sá “ổn định” – 92 %… được … ƯỚC TÍNH ĐẠT. "
    assert not may_hold_long_runs((composed * 100).encode())
    assert not may_hold_long_runs((unicodedata.normalize("NFD", composed) * 100).encode())
    assert may_hold_long_runs(("a" + ACUTE * 31).encode())


HOSTILE: dict[str, Callable[[int], str]] = {
    "descending": descending,
    "all marks": lambda count: "a" + (DESCENDING * (count // len(DESCENDING) + 1))[:count],
    "runs of 13": lambda count: ("a" + ACUTE * 6 + BELOW * 7) * (count // 14) + ACUTE * 40,
    "doubles": lambda count: "a" + "\u0344" * count + BELOW * 9,
    "beyond the BMP": lambda count: "\U00012000" * count,
}


@pytest.mark.parametrize("shape", HOSTILE)
@pytest.mark.parametrize("work", [stream_safe, nfc, nfkc])
def test_the_cost_grows_as_the_length_does(work: Callable[[str], object], shape: str) -> None:
    grown = growth(work, HOSTILE[shape], 8_000)
    assert grown < SQUARE_FROM, f"four times the text took {grown:.1f} times as long"


def test_control_without_it_four_times_the_text_takes_sixteen_times_as_long() -> None:
    grown = growth(lambda sent: unicodedata.normalize("NFC", sent), descending, 1_000)
    assert grown > SQUARE_FROM, f"four times the text took {grown:.1f} times as long"
