"""A refusal and a referral in a report's body: what is read of them, and what is said of each fault with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.reports.canonical import content_of
from shared.reports.report_parser import Report, Unreadable, read_report

NIL = {"nil": True, "nil_reason": "Không thuộc thẩm quyền"}


def read(**given: Any) -> Report | Unreadable:
    return read_report(json.dumps({"regime": "KTXH", "period": "YC-1", "officer": "cb-01", **given}).encode())


def faults(**given: Any) -> dict[str, str]:
    found = read(**given)
    assert isinstance(found, Unreadable)
    assert all(error.message and error.fix and error.fix_en for error in found.errors)
    return {error.pointer: error.message_en for error in found.errors}


def test_what_is_declined_is_read_with_whom_to_ask() -> None:
    refused, referred = read(**NIL, declines="refusal"), read(**NIL, declines="referral", refer_to="H99.05")
    assert isinstance(refused, Report)
    assert isinstance(referred, Report)
    assert (refused.declines, refused.refer_to) == ("refusal", "")
    assert (referred.declines, referred.refer_to) == ("referral", "H99.05")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({**NIL, "declines": "no"}, {"/declines": "must be refusal or referral"}),
        ({**NIL, "declines": 1}, {"/declines": "must be refusal or referral"}),
        ({"declines": "refusal"}, {"/declines": "it needs `nil: true`"}),
        ({**NIL, "declines": "referral"}, {"/refer_to": "missing"}),
        ({**NIL, "declines": "refusal", "refer_to": "H99.05"}, {"/refer_to": "stands only with"}),
        ({**NIL, "refer_to": "H99.05"}, {"/refer_to": "stands only with"}),
        ({**NIL, "declines": "referral", "refer_to": 5}, {"/refer_to": "must be a text"}),
        ({**NIL, "declines": "referral", "refer_to": "H 99"}, {"/refer_to": "H 99"}),
        (
            {"declines": "no", "refer_to": 5, "nil": False},
            {"/declines": "nil: true", "/refer_to": "must be a text"},
        ),
    ],
)
def test_each_fault_has_its_place_and_says_what_would_be_right(given: Any, expected: dict[str, str]) -> None:
    told = faults(**given)
    assert set(told) == set(expected)
    for pointer, words in expected.items():
        assert words in told[pointer]


def test_how_it_declines_is_told_even_where_something_else_is_wrong() -> None:
    found = read(**NIL, declines="referral", refer_to="H99.05", figures={"A": []})
    assert isinstance(found, Unreadable)
    assert (found.declines, found.refer_to) == ("referral", "H99.05")


def test_what_few_reports_have_is_content_only_where_it_is_said() -> None:
    plain: dict[str, Any] = {
        "regime": "KTXH", "period": "YC-1", "officer": "cb-01", "nil": True, "figures": {}, "narratives": {},
    }  # fmt: skip
    more: dict[str, Any] = {"nil_reason": "a", "declines": "referral", "refer_to": "H99.05"}
    more["tables"] = {"T": [{"A": "1"}]}
    assert json.loads(content_of(**plain)) == plain
    for name, value in more.items():
        assert json.loads(content_of(**plain, **{name: value})) == {**plain, name: value}
