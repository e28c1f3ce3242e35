"""The header Idempotency-Key: whoever repeats a call with its key gets the same answer, and nothing is done twice."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Header

from shared.web.errors import Problem, describe

MAX_IDEMPOTENCY_KEY_CHARACTERS = 255
#: visible ASCII (draft-ietf-httpapi-idempotency-key-header leaves the form to the server)
_IDEMPOTENCY_KEY = re.compile(rb"[\x21-\x7e]{1,255}")
is_idempotency_key = _IDEMPOTENCY_KEY.fullmatch

IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key", description="1–255 ký tự ASCII / visible ASCII")]

KEY_MISSING = describe(
    "idempotency-key-missing",
    400,
    "Thiếu hoặc sai Idempotency-Key",
    "Idempotency-Key is missing or malformed",
    f"Mỗi lần gửi cần tiêu đề Idempotency-Key: 1–{MAX_IDEMPOTENCY_KEY_CHARACTERS} ký tự ASCII nhìn thấy được, ví dụ "
    "một UUID. Gửi lại với cùng khóa thì báo cáo không bị lưu hai lần.",
    f"Every submission needs the header Idempotency-Key: 1–{MAX_IDEMPOTENCY_KEY_CHARACTERS} visible ASCII characters, "
    "such as a UUID. A repetition with the same key is never stored twice.",
)
KEY_REUSED = describe(
    "idempotency-key-reused",
    422,
    "Idempotency-Key đã dùng cho nội dung khác",
    "The Idempotency-Key was used for another body",
    "Khóa này đã dùng cho một báo cáo có nội dung khác. Báo cáo mới cần khóa mới.",
    "This key was used for a report with another body. A new report needs a new key.",
)


def given_key(key: str | None) -> str:
    """The Idempotency-Key of a call that creates something. Raises Problem where there is no good one."""
    if key is None or not is_idempotency_key(key.encode("latin-1", "replace")):
        raise Problem.of(KEY_MISSING)
    return key


def key_of_something_else() -> Problem:
    """The key was used for another call, which is no report."""
    return Problem.of(
        KEY_REUSED,
        "Idempotency-Key này đã dùng cho việc khác. Việc mới cần khóa mới.",
        "This Idempotency-Key was used for something else. Something new needs a new key.",
    )
