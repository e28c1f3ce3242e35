"""Whose data somebody may read: one's own; an administrator those of the part administered; an operator everybody's."""

from __future__ import annotations

from services.intake.administration.reach import Reach
from services.intake.personal_data.export import Records


def may_read(reach: Reach, person_id: str, known: Records) -> bool:
    """Whether the caller may read what is kept of this person."""
    own = reach.principal.kind == "person" and reach.principal.id == person_id
    found = [record for record in (known.officer, known.person) if record is not None]
    return bool(found) and (own or all(map(reach.reads, found)))
