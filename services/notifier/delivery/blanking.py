"""Blanks what the ledger of mails keeps of the address of somebody who has left, once the registry has blanked it.

The letters stay, with who was told what and when. What is under way goes on, and is blanked when it ends. Servers
repeat addresses in their answers, so these lose every address.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import text

from shared.postgres.database import Transaction

#: of a text: gateways repeat the number in any form
_NUMBER = r"""'\+?[0-9][0-9 .-]{6,}[0-9]'"""
_ADDRESS = r"""'[^\s<>"'':;,]+@[^\s<>"'':;,]+'"""
#: neither under way nor due, and to somebody whose record has no address any more
_ENDED_TO_ONE_WHO_LEFT = """
    n.token IS NULL AND n.due_at IS NULL AND n.state NOT IN ('waiting', 'grouped')
    AND CASE WHEN n.channel = 'email' THEN
            EXISTS (SELECT FROM officers o WHERE o.officer_id = n.officer_id AND o.email = '' AND NOT o.active)
            OR (EXISTS (SELECT FROM people p WHERE p.person_id = n.officer_id AND p.email = '')
                AND NOT EXISTS (SELECT FROM officers o WHERE o.officer_id = n.officer_id))
        ELSE EXISTS (SELECT FROM people p WHERE p.person_id = n.officer_id AND p.phone = '') END
"""
_LETTERS_OF = text(f"""
    SELECT n.id FROM notifications n
     WHERE n.officer_id = ANY(CAST(:officer_ids AS text[])) AND {_ENDED_TO_ONE_WHO_LEFT} ORDER BY n.id
""")  # noqa: S608 - constants
_OF_THESE = text(f"""
    SELECT n.id FROM notifications n
     WHERE n.id = ANY(CAST(:ids AS uuid[])) AND {_ENDED_TO_ONE_WHO_LEFT} ORDER BY n.id
""")  # noqa: S608 - constants
_RESENDS = text(f"""
    UPDATE resends SET recipient = '', from_recipient = '',
                       from_reason = regexp_replace(from_reason, {_ADDRESS}, '…', 'g')
     WHERE notification_id = ANY(CAST(:ids AS uuid[]))
""")  # noqa: S608 - constants
_ATTEMPTS = text(f"""
    UPDATE attempts SET answer = regexp_replace(answer, {_ADDRESS}, '…', 'g')
     WHERE notification_id = ANY(CAST(:ids AS uuid[])) AND answer LIKE '%@%'
""")  # noqa: S608 - constants
_TEXT_ATTEMPTS = text(f"""
    UPDATE attempts SET answer = regexp_replace(answer, {_NUMBER}, '…', 'g')
     WHERE notification_id = ANY(CAST(:ids AS uuid[])) AND channel <> 'email'
""")  # noqa: S608 - constants
_TEXT_REASONS = text(f"""
    UPDATE notifications SET reason = regexp_replace(reason, {_NUMBER}, '…', 'g')
     WHERE id = ANY(CAST(:ids AS uuid[])) AND channel <> 'email' AND reason IS NOT NULL
""")  # noqa: S608 - constants
_TEXT_RESENDS = text(f"""
    UPDATE resends r SET from_reason = regexp_replace(r.from_reason, {_NUMBER}, '…', 'g')
      FROM notifications n
     WHERE n.id = r.notification_id AND n.channel <> 'email' AND n.id = ANY(CAST(:ids AS uuid[]))
""")  # noqa: S608 - constants
_NOTIFICATIONS = text(f"""
    UPDATE notifications SET recipient = '', reason = regexp_replace(reason, {_ADDRESS}, '…', 'g')
     WHERE id = ANY(CAST(:ids AS uuid[])) AND recipient <> ''
""")  # noqa: S608 - constants


async def blank_contacts(tx: Transaction, officer_ids: Collection[str]) -> int:
    """Blank the addresses of those of these people whose record has none any more. Returns how many letters."""
    if not officer_ids:
        return 0
    return await _blank(tx, list((await tx.execute(_LETTERS_OF, {"officer_ids": sorted(set(officer_ids))})).scalars()))


async def blank_ended(tx: Transaction, ids: Collection[UUID]) -> int:
    """The same for letters, by id, that may have ended now. Returns how many were blanked."""
    if not ids:
        return 0
    return await _blank(tx, list((await tx.execute(_OF_THESE, {"ids": sorted(ids)})).scalars()))


async def _blank(tx: Transaction, ids: Collection[UUID]) -> int:
    if not ids:
        return 0
    for statement in (_RESENDS, _ATTEMPTS, _TEXT_RESENDS, _TEXT_ATTEMPTS, _TEXT_REASONS):
        await tx.execute(statement, {"ids": ids})
    return (await tx.execute(_NOTIFICATIONS, {"ids": ids})).rowcount
