"""The notices of one person, or about one agency, newest first. Read-only; a page costs what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import RowMapping, text

from services.notifier.notices.domain import PRIVATE, Reach
from shared.postgres.database import ReadTransaction

# of a grouped notice the letter's row tells what became of it
_READ = """
    SELECT page.id AS notice, page.kind, page.step, page.obligation, page.agency, page.regime, page.period,
           page.officer_id AS person, page.facts ->> 'recipient_name' AS name,
           page.facts ->> 'recipient_title' AS title, page.channel, page.created_at AS planned_at, page.wait_until,
           page.next_contact, CASE WHEN page.state = 'grouped' THEN m.state ELSE page.state END AS state,
           CASE WHEN page.state = 'grouped' THEN m.reason ELSE page.reason END AS reason,
           coalesce(page.settled_at, m.settled_at) AS settled_at, page.recipient,
           regimes.name AS regime_name, regimes.name_en AS regime_name_en,
           requests.title AS request_title, requests.title_en AS request_title_en,
           (SELECT given FROM escalations e CROSS JOIN LATERAL jsonb_array_elements(e.document -> 'answers') AS given
             WHERE e.obligation = page.obligation AND given ->> 'notice' = CAST(page.id AS text)
             ORDER BY given ->> 'at' DESC LIMIT 1) AS answer
      FROM (SELECT * FROM notifications WHERE {wanted}
               AND (CAST(:obligation AS text) IS NULL OR obligation = :obligation)
               AND (CAST(:before AS uuid) IS NULL OR id < :before)
             ORDER BY id DESC LIMIT :limit) AS page
      LEFT JOIN notifications m ON m.id = page.mail_id
      LEFT JOIN requests ON requests.request_id = page.period
      LEFT JOIN LATERAL (
          SELECT name, name_en FROM regimes WHERE code = page.regime ORDER BY regime_version DESC LIMIT 1
      ) AS regimes ON true
     ORDER BY page.id DESC
"""
_OF_PERSON = text(_READ.format(wanted="officer_id = :person"))
_OF_AGENCY = text(
    _READ.format(
        wanted="agency = :agency AND kind <> ALL(CAST(:private AS text[]))"
        " AND (CAST(:regimes AS text[]) IS NULL OR regime = ANY(CAST(:regimes AS text[])))"
    )
)


async def notices(
    tx: ReadTransaction, reach: Reach, *, obligation: str | None, before: UUID | None, limit: int
) -> Sequence[RowMapping]:
    """Up to `limit` notices older than `before` (ids are UUIDv7)."""
    given = {"obligation": obligation, "before": before, "limit": limit}
    if reach.person is not None:
        return (await tx.execute(_OF_PERSON, {**given, "person": reach.person})).mappings().all()
    wanted = {"agency": reach.agency, "private": list(PRIVATE), "regimes": reach.regimes and list(reach.regimes)}
    return (await tx.execute(_OF_AGENCY, {**given, **wanted})).mappings().all()
