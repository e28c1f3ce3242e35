"""The queries behind an agency's own page: its record, its people, and the reports it owes next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, Field
from sqlalchemy import text

from services.intake.obligations import queries as obligations
from services.intake.obligations.queries import ObligationView
from services.intake.registry.agency_codes import older
from services.intake.registry.records import Registry
from services.intake.webhooks import store as webhooks
from services.intake.webhooks.views import WebhookStanding, webhook_standing
from shared.postgres.database import ReadTransaction

#: limits on people and obligations listed; the answer says if there are more
MAX_OFFICERS = 100
MAX_OWED = 20

_RECORDS = text("SELECT key, record FROM registry WHERE key = ANY(CAST(:keys AS text[]))")
# order: active first; officers designated for the regime, then general officers and heads, then those designated for
# other regimes only; reporting officers before heads
_OFFICERS = text("""
    SELECT record FROM registry WHERE kind = 'officer' AND record ->> 'agency' = :agency
    ORDER BY (record ->> 'active')::boolean DESC,
             CASE WHEN record -> 'regimes' ? :regime THEN 0
                  WHEN record -> 'regimes' = '[]' OR record ->> 'role' = 'head' THEN 1 ELSE 2 END,
             record ->> 'role' DESC, key
    LIMIT :limit
""")


class AgencyName(BaseModel):
    code: str
    name: str
    name_en: str


class AgencyRecord(AgencyName):
    """The agency's record in the registry."""

    kind: str
    older_code: str | None = Field(
        description="Mã theo QCVN 102:2016/BTTTT / the code in its older form", examples=["000.00.05.H99"]
    )
    opened_on: date
    closed_on: date | None
    successors: list[str]


class OfficerView(BaseModel):
    """A person of the agency. `regimes` empty: reports under all regimes."""

    officer_id: str
    name: str
    title: str
    email: str
    role: Literal["reporting_officer", "head"]
    regimes: list[str]
    active: bool

    def answers(self, regime: str) -> bool:
        """Whether a report under the regime may name this person."""
        return self.active and (self.role == "head" or not self.regimes or regime in self.regimes)


class Me(BaseModel):
    """The agency of the key."""

    agency: AgencyRecord
    parent: AgencyName | None
    officers: list[OfficerView]
    officers_truncated: bool
    owed: list[ObligationView] = Field(
        description=f"Chưa hoàn thành, theo hạn, tối đa {MAX_OWED} / not fulfilled, by deadline"
    )
    owed_truncated: bool
    webhooks: list[WebhookStanding] = Field(description="Webhook của cơ quan, cũ nhất trước / the oldest first")
    links: dict[str, str]


async def officers(tx: ReadTransaction, agency: str, *, regime: str = "", limit: int) -> Sequence[OfficerView]:
    """The agency's people, those who report under the regime first."""
    rows = await tx.execute(_OFFICERS, {"agency": agency, "regime": regime, "limit": limit})
    return [OfficerView(**_only(record, OfficerView)) for (record,) in rows]


async def me(tx: ReadTransaction, agency: str, parent: str | None, registry: Registry) -> Me | None:
    """The agency of the key; None where the registry has no such agency."""
    keys = [f"agency/{code}" for code in (agency, parent) if code is not None]
    records = {row.key: row.record for row in await tx.execute(_RECORDS, {"keys": keys})}
    own, above = records.get(f"agency/{agency}"), records.get(f"agency/{parent}")
    if own is None:
        return None
    people = await officers(tx, agency, limit=MAX_OFFICERS + 1)
    owed = await obligations.owed(tx, agency, registry, limit=MAX_OWED + 1)
    hooks = await webhooks.of_agency(tx, agency)
    return Me(
        agency=AgencyRecord(**_only({**own, "older_code": older(agency)}, AgencyRecord)),
        parent=None if above is None else AgencyName(**_only(above, AgencyName)),
        officers=list(people[:MAX_OFFICERS]),
        officers_truncated=len(people) > MAX_OFFICERS,
        owed=list(owed[:MAX_OWED]),
        owed_truncated=len(owed) > MAX_OWED,
        webhooks=[webhook_standing(webhook) for webhook in hooks],
        links={"regimes": "/v1/regimes", "obligations": "/v1/obligations", "submissions": "/v1/submissions"},
    )


def _only(record: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    return {name: record[name] for name in model.model_fields}
