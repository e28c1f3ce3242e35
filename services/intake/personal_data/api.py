"""`GET /v1/people/{person_id}/personal-data`: a copy of everything that is kept of a person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Literal

import msgspec
from fastapi import Depends, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from services.intake.administration.callers import Reaching
from services.intake.administration.reach import Reach
from services.intake.personal_data import export
from services.intake.personal_data.callers import may_read
from shared.postgres.database import Database
from shared.reports.limits import is_code
from shared.runtime.clock import LOCAL_ZONE
from shared.web.app import Application
from shared.web.errors import not_found

Part = Literal["officer", "person", "key", "submission", "step", "notice", "change_about", "change_by"]


class PersonalDatum(BaseModel):
    """One thing that is kept of a person."""

    part: Part = Field(description="Loại / of which kind it is")
    data: dict[str, Any] = Field(
        description="Nội dung / what is kept",
        examples=[{"officer_id": "cb-31", "agency": "H99.31", "name": "Nguyễn Văn An", "email": "an@example.vn"}],
    )


def mount(app: Application, *, database: Database, readers: Reaching) -> None:
    """Add the route."""
    reaching = Depends(readers)

    @app.get(
        "/v1/people/{person_id}/personal-data",
        tags=["people"],
        summary="Mọi dữ liệu đang lưu về một người / everything that is kept of a person",
        description=(
            "Của chính mình; người quản trị: của người thuộc phạm vi. Trả một mảng JSON, không phân trang. / "
            "One's own; an administrator's: of those within reach. One JSON array, without pages."
        ),
        response_model=list[PersonalDatum],
    )
    async def personal_data(person_id: str, reach: Reach = reaching) -> Response:
        known = export.Records()
        if is_code(person_id):
            async with database.read_transaction() as tx:
                known = await export.records(tx, person_id)
        if not may_read(reach, person_id, known):
            raise not_found("người này", "such person")
        return StreamingResponse(
            as_array(database, person_id, known),
            media_type="application/json",
            headers={"Content-Disposition": f'attachment; filename="{person_id}.json"'},
        )


async def as_array(database: Database, person_id: str, known: export.Records) -> AsyncIterator[str]:
    """The export as one JSON array, an element a line, with local times."""
    before = "["
    async for part, data in export.everything(database, person_id, known):
        local = {
            name: value.astimezone(LOCAL_ZONE) if isinstance(value, datetime) else value for name, value in data.items()
        }
        yield f"{before}\n{msgspec.json.encode({'part': part, 'data': local}).decode()}"
        before = ","
    yield "\n]\n"
