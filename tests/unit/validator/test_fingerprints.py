"""Near-copies are found by fingerprints: surely those that repeat, never those that merely speak of the same things."""

from __future__ import annotations

import hashlib
import random
import struct
from datetime import UTC, datetime
from itertools import combinations
from uuid import uuid4

import msgspec
import pytest

from services.validator.domain import Judgement, Kept, after_texts, judge
from services.validator.judge_process import Answer
from services.validator.rules import fingerprints
from services.validator.rules.fingerprints import NEAR, bands, fingerprint, is_near, likeness
from services.validator.rules.forms import compile_form
from shared.contract.events import Form, NarrativeField
from tests.unit.growth import SQUARE_FROM, growth
from tests.unit.validator.office_prose import GOOD

#: sections of three paragraphs, as they are long in reports
CORPUS = [" ".join(text for text, _ in GOOD[place : place + 3]) for place in range(len(GOOD) - 2)]


def own(text: str) -> bytes:
    found = fingerprint(text)
    assert found is not None
    return found


def varied(text: str, share: float, seed: int) -> str:
    """The text with so large a share of its syllables replaced."""
    rng = random.Random(seed)
    words = text.split(" ")
    for place in rng.sample(range(len(words)), round(share * len(words))):
        words[place] = f"khác{seed}{place}"
    return " ".join(words)


def exactly(one: str, other: str) -> float:
    """The share of shingles in common, counted."""
    first, second = (
        {tuple(words[place : place + 5]) for place in range(len(words) - 4)}
        for words in (fingerprints.own_words(one), fingerprints.own_words(other))
    )
    return len(first & second) / len(first | second)


def test_no_two_sections_of_the_corpus_without_a_paragraph_in_common_are_alike() -> None:
    found = [own(text) for text in CORPUS[::3]]
    assert len(found) >= 20
    assert max(likeness(one, other) for one, other in combinations(found, 2)) < 0.2


def test_precision_and_recall_over_varied_sections() -> None:
    told = right = meant = found = 0
    for seed in range(6):
        for text in CORPUS[::3]:
            for share in (0.0, 0.005, 0.01, 0.05, 0.1, 0.3):
                other = varied(text, share, seed)
                same, said = exactly(text, other), likeness(own(text), own(other)) >= NEAR
                told += said
                right += said and same >= 0.65
                meant += same >= 0.95
                found += said and same >= 0.95
    assert right / told >= 0.99
    assert found / meant >= 0.99


def test_near_copies_share_a_band_and_other_texts_do_not() -> None:
    for one, other in combinations(CORPUS[::3], 2):
        assert not set(bands(own(one), "a")) & set(bands(own(other), "a"))
    for text in CORPUS[::3]:
        assert set(bands(own(text), "a")) & set(bands(own(varied(text, 0.02, 1)), "a"))
        assert not set(bands(own(text), "a")) & set(bands(own(text), "b")), "of another regime, period or section"


def test_what_is_quoted_headings_and_short_sections_do_not_count() -> None:
    title = "“" + "về việc ban hành quy định chế độ báo cáo định kỳ " * 6 + "”"
    heading = "I. KẾT QUẢ THỰC HIỆN NHIỆM VỤ TRỌNG TÂM TRONG KỲ BÁO CÁO\n"
    assert fingerprint(f"Thực hiện Quyết định số 45 {title}, xã đã làm.") is None
    assert fingerprint(heading * 9) is None
    assert fingerprint("Trong kỳ không phát sinh vướng mắc. ") is None
    assert own(f"{heading}{CORPUS[0]}") == own(CORPUS[0])
    assert own(f"{CORPUS[0]} {title}") == own(CORPUS[0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Xã đã làm; tốt_hơn 12,5%.", ["xã", "đã", "làm", "tốt", "hơn", "12", "5"]),
        ("Theo “Quyết định 45” xã làm.", ["theo", "xã", "làm"]),
        ('Theo "Quyết định 45" xã làm.', ["theo", "xã", "làm"]),
        ("Theo «Quyết định 45» xã làm.", ["theo", "xã", "làm"]),
        ("Theo “Quyết định 45 xã làm.", ["theo", "quyết", "định", "45", "xã", "làm"]),  # never closed
        ("Xã “a", ["xã", "a"]),
        ("Kết quả\nXã làm.", ["xã", "làm"]),
        ("Xã làm.\n\nXã báo.", ["xã", "làm", "xã", "báo"]),
    ],
)
def test_words_are_syllables_outside_quotations_and_headings(text: str, words: list[str]) -> None:
    assert fingerprints.own_words(text) == words


@pytest.mark.parametrize(
    ("line", "is_heading"),
    [
        ("", True),
        ("  ", True),
        ("KẾT QUẢ.", True),
        ("Kết quả", True),
        ("a " * 12 + "b", False),  # thirteen syllables
        ("a " * 11 + "b", True),
        *((f"Xã đã làm{mark}", False) for mark in ".;!?…"),
        ("Xã đã làm:", True),
        ("Xã đã làm. ", False),
        ("Kết quả đợt X", True),
    ],
)
def test_a_short_line_without_an_end_or_without_a_small_letter_is_a_heading(line: str, is_heading: bool) -> None:
    text = f"{line}\nXã."
    assert (fingerprints.own_words(text) == ["xã"]) is is_heading


def test_a_long_text_is_compared_by_its_beginning() -> None:
    assert len(fingerprints.own_words("a " * 5_000)) == 4_000
    assert len(fingerprints.own_words(("x" * 23 + " ") * 3_000)) == 2_000, "48,000 characters"


def test_forty_syllables_are_compared_and_fewer_are_not() -> None:
    assert fingerprint("xã " * 39 + "xã") is not None
    assert fingerprint("xã " * 38 + "xã") is None
    assert fingerprint("xã " * 38 + "xã .  .") is None, "spaces and points are no syllables"


def test_fingerprints_and_bands_are_those_that_are_stored_already() -> None:
    """A change of them would compare nothing with what was kept before it."""
    found = own(" ".join(f"tiếng {number}" for number in range(1, 41)))
    assert hashlib.sha256(found).hexdigest() == "7a8d705a8d20856917019d7c8e644d1440d1703e038e860b6da13b5539c4b40e"
    assert bands(found, "KTXH/2026-M10/N")[:3] == (5158993438564527994, 1790601814668370229, 5899119167221998428)
    assert min(bands(found, "KTXH/2026-M10/N")) < 0, "PostgreSQL's bigint is signed"


EMPTY = 0xFFFFFFFF


def buckets(*values: int) -> bytes:
    return struct.pack(">64I", *values, *[EMPTY] * (64 - len(values)))


def test_a_band_of_empty_buckets_joins_nobody_and_each_band_is_its_own() -> None:
    assert bands(buckets(), "a") == ()
    assert len(bands(buckets(1), "a")) == 1
    one, other = bands(buckets(1, 2, 3, 4, 1, 2, 3, 4), "a")
    assert one != other
    assert bands(buckets(*[EMPTY] * 4, 1, 2, 3, 4), "a") == (other,), "at its place"


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        (buckets(1), buckets(1), 1.0),
        (buckets(*range(20)), buckets(*range(16), 9, 9, 9, 9), 0.8),
        (buckets(*range(16)), buckets(*range(8)), 0.5),  # empty in one of them: known, and different
        (buckets(*range(8)), buckets(*range(16)), 0.5),
        (buckets(*range(15)), buckets(*range(14)), 0.0),  # too few to tell
        (buckets(*range(15), EMPTY, 15), buckets(*range(15), EMPTY, 9), 15 / 16),
    ],
)
def test_likeness_is_the_share_of_buckets_that_agree_of_those_that_one_of_them_knows(
    one: bytes, other: bytes, share: float
) -> None:
    assert likeness(one, other) == share
    assert is_near(one, other) is (share >= 0.8)


def test_case_and_punctuation_make_no_other_text() -> None:
    assert own(CORPUS[0].upper()) == own(CORPUS[0].replace(",", " ;  "))


def test_a_fingerprint_costs_the_length_of_the_text() -> None:
    for unit in ("tốt ", "“a ", "a\n", 'x " ', "A. ", "ế"):
        grown = growth(fingerprint, lambda count, unit=unit: unit * count, 3_000)  # type: ignore[misc]
        assert grown < SQUARE_FROM, unit


ASKED = {"N12": "confirm", "N13": "confirm"}
FORM = compile_form(Form(narratives=(NarrativeField(code="N", label="Đánh giá"),), severities=ASKED))
CHOSEN = compile_form(Form(narratives=(NarrativeField(code="N", label="Đánh giá"),), severities={"N12": "error"}))
UNASKED = compile_form(Form(narratives=(NarrativeField(code="N", label="Đánh giá"),)))


def judged(text: str, form: object = FORM) -> Judgement:
    return judge(form, {}, {"N": text}, nil=False)  # type: ignore[arg-type]


def kept(text: str, period: str = "2026-M02") -> Kept:
    return Kept(uuid4(), f"H99.02/BC/{period}", "H99.02", datetime(2026, 3, 1, tzinfo=UTC), own(text))


def test_a_copy_of_the_last_report_asks_for_an_explanation_and_names_the_period() -> None:
    last = kept(CORPUS[0])
    told = after_texts(judged(CORPUS[0]), {"N": last}, {"N": [kept(CORPUS[0])]})
    (finding,) = told.findings
    assert (finding.code, finding.severity, finding.path) == ("N12", "warning", "/narratives/N")
    assert "100%" in finding.message
    assert "2026-M02" in finding.message
    assert (told.outcome, told.compared_with, told.resembles) == ("accepted", (last.submission_id,), ())
    assert after_texts(judged(CORPUS[0], CHOSEN), {"N": last}, {}).outcome == "returned"


def test_a_copy_of_another_agency_does_not_say_whose() -> None:
    other = kept(CORPUS[0])
    told = after_texts(judged(varied(CORPUS[0], 0.01, 1)), {}, {"N": [kept(CORPUS[9]), other]})
    (finding,) = told.findings
    assert (finding.code, finding.severity, told.outcome) == ("N13", "warning", "accepted")
    assert not any(secret in finding.model_dump_json() for secret in ("H99.02", str(other.submission_id)))
    assert (told.compared_with, told.resembles) == ((), (other.submission_id,))


def test_what_is_no_copy_is_compared_and_not_told_and_a_returned_report_is_not_compared() -> None:
    last = kept(CORPUS[9])
    told = after_texts(judged(CORPUS[0]), {"N": last}, {"N": [kept(CORPUS[12])]})
    assert (told.findings, told.compared_with, told.resembles) == ((), (last.submission_id,), ())
    returned = after_texts(judged(CORPUS[0] + "\x01"), {"N": kept(CORPUS[0])}, {"N": [kept(CORPUS[0])]})
    assert (returned.outcome, returned.compared, returned.compared_with, returned.resembles) == ("returned", (), (), ())
    assert "N12" not in [finding.code for finding in returned.findings]


def test_nothing_is_compared_where_the_regime_does_not_ask() -> None:
    assert judged(CORPUS[0], UNASKED).sections == ()
    like_another = after_texts(judged(CORPUS[0], CHOSEN), {}, {"N": [kept(CORPUS[0])]})
    assert (like_another.findings, like_another.resembles) == ((), ())


def test_sections_come_back_from_the_process_beside() -> None:
    judgement = judged(CORPUS[0])
    sent = msgspec.msgpack.encode(Answer.of(judgement, 0.1))
    assert msgspec.msgpack.decode(sent, type=Answer).judgement() == judgement
