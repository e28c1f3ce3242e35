"""Blanks what the ledger of mails keeps of the address of somebody who has left, once the registry has blanked it.

The letters stay, with who was told what and when. What is under way goes on, and is blanked when it has settled and
the next such record comes. Servers repeat addresses in their answers, so these lose every address.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import text

from shared.postgres.database import Transaction

_ADDRESS = r"""'[^\s<>"'':;,]+@[^\s<>"'':;,]+'"""
_BLANKED = """
    SELECT id FROM notifications
     WHERE officer_id IN (SELECT officer_id FROM officers
                           WHERE officer_id = ANY(CAST(:ids AS text[])) AND email = '' AND NOT active
                          UNION ALL
                          SELECT person_id FROM people
                           WHERE person_id = ANY(CAST(:ids AS text[])) AND email = ''
                             AND NOT EXISTS (SELECT FROM officers WHERE officers.officer_id = people.person_id))
       AND token IS NULL AND due_at IS NULL
"""
_RESENDS = text(f"""
    UPDATE resends SET recipient = '', from_recipient = '',
                       from_reason = regexp_replace(from_reason, {_ADDRESS}, '…', 'g')
     WHERE notification_id IN ({_BLANKED})
""")  # noqa: S608 - constants
_ATTEMPTS = text(f"""
    UPDATE attempts SET answer = regexp_replace(answer, {_ADDRESS}, '…', 'g')
     WHERE notification_id IN ({_BLANKED}) AND answer LIKE '%@%'
""")  # noqa: S608 - constants
_NOTIFICATIONS = text(f"""
    UPDATE notifications SET recipient = '', reason = regexp_replace(reason, {_ADDRESS}, '…', 'g')
     WHERE id IN ({_BLANKED}) AND recipient <> ''
""")  # noqa: S608 - constants


async def blank_contacts(tx: Transaction, officer_ids: Collection[str]) -> int:
    """Blank the addresses of those of these people whose record has none any more. Returns how many letters."""
    if not officer_ids:
        return 0
    ids = {"ids": sorted(set(officer_ids))}
    for statement in (_RESENDS, _ATTEMPTS):
        await tx.execute(statement, ids)
    return (await tx.execute(_NOTIFICATIONS, ids)).rowcount
