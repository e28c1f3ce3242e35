"""Reading a body: no digit is lost, no error is kept back, and the fast way agrees with the slow one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.reports.limits import MAX_ERRORS, MAX_FIGURE_CHARACTERS, MAX_FIGURES, MAX_NARRATIVE_CHARACTERS
from shared.reports.report_parser import Report, Unreadable, read_fast, read_report, read_slow


def body(**others: Any) -> bytes:
    document = {"regime": "KTXH", "period": "2026-M10", "officer": "cb-01", "figures": {"A01": 1}, **others}
    return json.dumps(document, ensure_ascii=False).encode()


def with_figures(text: str) -> bytes:
    return ('{"regime":"KTXH","period":"2026-M10","officer":"cb-01","figures":' + text + "}").encode()


def pointers(found: Report | Unreadable) -> list[str]:
    assert isinstance(found, Unreadable)
    return [error.pointer for error in found.errors]


@pytest.mark.parametrize(
    "number",
    ["12345678901234567.89", "1.50", "0.10", "-0", "-0.0", "1e5", "1E-7", "0", "123456789012345678901234567890"],
)
def test_a_number_keeps_every_digit_it_was_sent_with(number: str) -> None:
    found = read_report(with_figures('{"A01":' + number + "}"))
    assert isinstance(found, Report)
    assert found.figures == {"A01": number}


def test_a_text_a_null_and_a_number_are_kept_apart_from_each_other() -> None:
    found = read_report(with_figures('{"a":"0012","b":null,"c":12,"d":"","e":"không"}'))
    assert isinstance(found, Report)
    assert found.figures == {"a": "0012", "b": None, "c": "12", "d": "", "e": "không"}


def test_all_errors_are_told_at_once_with_their_places() -> None:
    found = read_report(
        b'{"regime":1,"period":"a b","nil":"yes","figures":{"x":[1],"a/b":1,"ok":1},"narratives":{"n":5},'
        b'"classification":"secret","agency":"H99.01"}'
    )
    assert set(pointers(found)) == {
        "/regime", "/period", "/officer", "/nil", "/figures/x", "/figures/a~1b", "/narratives/n", "/classification",
        "/agency",
    }  # fmt: skip
    assert isinstance(found, Unreadable)
    assert all(error.message and error.message_en and error.fix and error.fix_en for error in found.errors)


def test_a_key_given_twice_is_an_error_wherever_it_is() -> None:
    assert pointers(read_report(with_figures('{"A01":1,"A01":2}'))) == ["/figures/A01"]
    assert pointers(read_report(with_figures('{"A01":1,"A01" :1}'))) == ["/figures/A01"]
    doubled = b'{"regime":"KTXH","regime":"KTXH","period":"2026","officer":"cb"}'
    assert pointers(read_report(doubled)) == ["/regime"]


def test_a_quoted_colon_in_a_narrative_is_no_second_key() -> None:
    found = read_report(body(narratives={"n": 'nói "thế": rồi : thôi'}))
    assert isinstance(found, Report)
    assert found.narratives == {"n": 'nói "thế": rồi : thôi'}


@pytest.mark.parametrize("bad", [b"", b"[]", b'"a"', b"{", b"\xff", b"nul", b'{"a":NaN}', b"[" * 100_000, b"1" * 5000])
def test_what_is_no_json_object_is_malformed(bad: bytes) -> None:
    found = read_report(bad)
    assert isinstance(found, Unreadable)
    assert found.malformed
    assert len(found.errors) == 1


def test_what_cannot_be_stored_is_refused() -> None:
    for bad in ("a\\u0000b", "\\ud800", "\\udc00", "\\ud83d\\u0041", "x\\ud83d", "\\ud800\\ud83d\\ude00"):
        assert pointers(read_report(with_figures('{"A01":"' + bad + '"}'))) == ["/figures/A01"]
    assert pointers(read_report(with_figures('{"\\ud800":1}'))) == ["/figures/\x00"]
    whole = read_report(with_figures('{"A01":"\\ud83d\\ude00","A02":"\\\\ud800"}'))
    assert isinstance(whole, Report)
    assert whole.figures == {"A01": "😀", "A02": "\\ud800"}


MARKS = "\u0301" * 40


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("spaced", [False, True])
def test_runs_of_marks_are_parted_in_every_text_and_nothing_else_changes(ascii_only: bool, spaced: bool) -> None:
    parted = "\u0301" * 30 + "\u034f" + "\u0301" * 10
    document = json.loads(body(figures={"A": "1" + MARKS, "B": None, "C": 2}, narratives={"n": "a" + MARKS, "m": "ấ"}))
    sent = json.dumps(document, ensure_ascii=ascii_only, separators=(",", " : ") if spaced else None).encode()
    found = read_report(sent)
    assert isinstance(found, Report)
    assert (read_fast(sent) is None) == spaced
    assert found.figures == {"A": "1" + parted, "B": None, "C": "2"}
    assert found.narratives == {"n": "a" + parted, "m": "ấ"}
    made_safe_before = read_report(
        json.dumps({**document, "figures": found.figures, "narratives": found.narratives}).encode()
    )
    assert isinstance(made_safe_before, Report)
    assert made_safe_before.content_sha256() == found.content_sha256()


def test_sizes_are_limited() -> None:
    many = {f"A{i}": 1 for i in range(MAX_FIGURES + 1)}
    assert pointers(read_report(body(figures=many))) == ["/figures"]
    assert pointers(read_report(body(figures={"A": "9" * (MAX_FIGURE_CHARACTERS + 1)}))) == ["/figures/A"]
    assert pointers(read_report(body(narratives={"n": "ă" * (MAX_NARRATIVE_CHARACTERS + 1)}))) == ["/narratives/n"]
    assert isinstance(read_report(body(narratives={"n": "ă" * MAX_NARRATIVE_CHARACTERS})), Report)
    assert pointers(read_report(body(figures={"A" * 65: 1}))) == ["/figures/" + "A" * 65]
    wrong: dict[str, list[int]] = {f"A{i}": [] for i in range(MAX_FIGURES)}
    assert len(pointers(read_report(body(figures=wrong)))) == MAX_ERRORS


@pytest.mark.parametrize("word", ["secret", "mật", "", "PUBLIC", 1, True])
def test_a_classified_report_is_refused(word: object) -> None:
    assert pointers(read_report(body(classification=word))) == ["/classification"]


@pytest.mark.parametrize("word", ["public", None])
def test_a_public_report_is_taken(word: object) -> None:
    assert isinstance(read_report(body(classification=word)), Report)


def test_equal_contents_have_equal_names_whatever_the_order_and_white_space() -> None:
    first = read_report(with_figures('{"A":1.50,"B":"x"}'))
    second = read_report(with_figures(' { "B" : "x" , "A" : 1.50 } '))
    other = read_report(with_figures('{"A":1.5,"B":"x"}'))
    assert isinstance(first, Report)
    assert isinstance(second, Report)
    assert isinstance(other, Report)
    assert first.content_sha256() == second.content_sha256() != other.content_sha256()


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)
_names = st.sampled_from(["regime", "period", "officer", "nil", "figures", "narratives", "classification", "x", "a b"])


@given(
    st.fixed_dictionaries(
        {"regime": st.just("R") | _values, "period": st.just("2026"), "officer": st.just("o")},
        optional={
            "nil": st.booleans() | _values,
            "figures": st.dictionaries(st.sampled_from(["A1", "A2", "a b"]), _values) | _values,
            "narratives": st.dictionaries(st.sampled_from(["n", "m/"]), st.text(max_size=20) | _values),
            "classification": st.sampled_from(["public", None, "x"]),
        },
    )
    | st.dictionaries(_names, _values),
    st.booleans(),
)
def test_both_readings_agree_on_whatever_is_sent(document: dict[str, Any], spaced: bool) -> None:
    sent = json.dumps(document, separators=(" , ", " : ") if spaced else (",", ":")).encode()
    fast = read_fast(sent)
    slow = read_slow(sent)
    if fast is not None:
        assert slow == fast
    else:
        assert read_report(sent) == slow
