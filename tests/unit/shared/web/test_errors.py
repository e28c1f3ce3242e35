"""A problem says what happened in both languages, in one clear shape."""

from __future__ import annotations

import pytest

from shared.web import errors
from shared.web.errors import FieldError, Problem


def test_a_problem_speaks_the_language_asked_for_and_always_carries_both() -> None:
    problem = Problem(409, "slug", "Tiêu đề", "Title", "Chi tiết", "Detail")
    assert problem.document("vi")["title"] == "Tiêu đề"
    assert problem.document("en")["detail"] == "Detail"
    languages: tuple[errors.Language, ...] = ("vi", "en")
    for language in languages:
        document = problem.document(language)
        assert (document["title_vi"], document["title_en"]) == ("Tiêu đề", "Title")
        assert (document["detail_vi"], document["detail_en"]) == ("Chi tiết", "Detail")
        assert (document["type"], document["status"]) == ("/problems/slug", 409)


def test_field_errors_keep_place_message_and_fix_in_both_languages() -> None:
    error = FieldError("/figures/A01", "Sai.", "Wrong.", "Sửa.", "Correct it.")
    told = errors.unprocessable([error]).document("en")["errors"]
    assert told == [
        {
            "in": "body",
            "pointer": "/figures/A01",
            "message": "Wrong.",
            "fix": "Correct it.",
            "message_vi": "Sai.",
            "message_en": "Wrong.",
            "fix_vi": "Sửa.",
            "fix_en": "Correct it.",
        }
    ]


def test_field_errors_may_be_given_as_mappings() -> None:
    problem = Problem(422, "x", "a", "b", errors=[{"pointer": "/a", "message": "m", "message_en": "n"}])
    assert problem.errors == [FieldError("/a", "m", "n")]


def test_a_wait_is_at_least_one_second() -> None:
    assert errors.too_many(0).headers == {"Retry-After": "1"}
    assert errors.unavailable(7).headers == {"Retry-After": "7"}


def test_a_body_that_is_too_large_closes_the_connection() -> None:
    problem = errors.too_large(10)
    assert problem.headers["Connection"] == "close"
    assert problem.document()["limit_bytes"] == 10


def test_describing_a_kind_twice_differently_is_refused() -> None:
    kind = errors.KINDS["not-found"]
    same = (kind.slug, kind.status, kind.title, kind.title_en, kind.meaning, kind.meaning_en)
    assert errors.describe(*same) == kind
    with pytest.raises(ValueError, match="not-found"):
        errors.describe("not-found", 410, "a", "b", "c", "d")


@pytest.mark.parametrize("kind", errors.KINDS.values(), ids=errors.KINDS.keys())
def test_every_kind_of_problem_is_told_in_both_languages(kind: errors.ProblemKind) -> None:
    for text in (kind.title, kind.title_en, kind.meaning, kind.meaning_en):
        assert text.strip()
    assert kind.title != kind.title_en
    assert 400 <= kind.status < 600


def test_a_thing_not_found_is_named() -> None:
    problem = errors.not_found("bài nộp 7", "submission 7")
    assert "bài nộp 7" in problem.detail
    assert "submission 7" in problem.detail_en
