"""Query parameters that several lists take, declared once."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query

from services.intake.filters import moment
from shared.web.paging import PageRequest, page_request

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
