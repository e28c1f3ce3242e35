"""When a person has left, and what is then no longer kept of them. Pure.

NĐ 13/2023/NĐ-CP Điều 3 khoản 7: personal data is kept only as long as its purpose needs. A contact is for notices of
duty; a name stays, since receipts, scores and decisions name who answered for them.
"""

from __future__ import annotations

from datetime import date

from shared.contract.events import OfficerRegistered, PersonRegistered, RegistryEvent


def has_left(officer: OfficerRegistered | None, person: PersonRegistered | None, by: date) -> bool:
    """Whether one human being, by the records of that id, held no office any more from `by` on."""
    if officer is not None and officer.active:
        return False
    return person is None or all(office.until is not None and office.until < by for office in person.offices)


def without_contacts(record: RegistryEvent) -> RegistryEvent:
    """The record with its contacts blanked; others than a person's as they are."""
    match record:
        case OfficerRegistered():
            return record.model_copy(update={"email": ""})
        case PersonRegistered():
            return record.model_copy(update={"contacts": ()})
        case _:
            return record


def keeping_blank(before: RegistryEvent | None, record: RegistryEvent, today: date) -> RegistryEvent:
    """The record, without a contact that was blanked before: a folder of YAML still holds it, and would bring it back.

    Who takes up an office again has the contacts that the record gives.
    """
    match before, record:
        case OfficerRegistered(email=""), OfficerRegistered(active=False):
            return without_contacts(record)
        case PersonRegistered(contacts=()), PersonRegistered() if has_left(None, record, today):
            return without_contacts(record)
        case _:
            return record
