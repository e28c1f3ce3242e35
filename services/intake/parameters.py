"""Parameters that several routes take, declared once."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query

from shared.web.errors import Problem, not_found
from shared.web.filters import moment
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


def version_of_etag(etag: str) -> int | None:
    """The version that an ETag of a record names; None where it is no such ETag."""
    found = _VERSION.fullmatch(etag)
    return None if found is None else int(found[1])


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
