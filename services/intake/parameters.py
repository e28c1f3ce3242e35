"""Parameters that several routes take, declared once."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, Query

from services.intake.filters import moment
from services.intake.problems import KEY_MISSING
from shared.reports.limits import is_idempotency_key
from shared.web.errors import Problem, not_found
from shared.web.paging import PageRequest, page_request

_VERSION = re.compile(r'(?:W/)?"([0-9]{1,9})"')

Code = Annotated[str | None, Query(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$")]
UpdatedAfter = Annotated[
    datetime | None,
    moment("updated_after"),
    Query(
        description="Đổi sau thời điểm này, theo thứ tự đổi / changed after this moment, in the order of change",
        examples=["2026-03-31T17:00:00+07:00"],
    ),
]
Page = Annotated[PageRequest, Depends(page_request)]
IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key", description="1–255 ký tự ASCII / visible ASCII")]


def version_of_etag(etag: str) -> int | None:
    """The version that an ETag of a record names; None where it is no such ETag."""
    found = _VERSION.fullmatch(etag)
    return None if found is None else int(found[1])


def given_key(key: str | None) -> str:
    """The Idempotency-Key of a call that creates something. Raises Problem where there is no good one."""
    if key is None or not is_idempotency_key(key.encode("latin-1", "replace")):
        raise Problem.of(KEY_MISSING)
    return key


def id_of(text: str, what: str, what_en: str) -> UUID:
    """The id in a path. What is no id is not found, like every id that is not the agency's: raises Problem.

    Called by the handler, so that nobody without a key gets as far.
    """
    try:
        return UUID(text)
    except ValueError:
        raise not_found(what, what_en) from None


def submission_id_of(text: str) -> UUID:
    return id_of(text, "bài nộp này", "such submission")


def no_submission(submission_id: UUID) -> Problem:
    """There is none, or it is another agency's."""
    return not_found(f"bài nộp {submission_id}", f"submission {submission_id}")
