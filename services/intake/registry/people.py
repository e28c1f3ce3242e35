"""The rules of people and their offices: whoever gets rights is named with a term, and a deputy by a head. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.intake.registry.records import Registry
from services.intake.registry.source import Located
from shared.access import RIGHTS, Office
from shared.contract.events import OfficerRegistered, PersonRegistered, PersonsOffice, RegistryEvent
from shared.contract.events.fields import usable_address
from shared.runtime.file_errors import FileError
from shared.runtime.hidden_characters import shown

#: E.164: a plus sign and at most 15 digits
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
CHANNELS = ("email", "phone")


class Identities:
    """Agency and name under which each id is an officer and a person: both are one human being."""

    def __init__(self) -> None:
        self.officers: dict[str, tuple[str, str]] = {}
        self.people: dict[str, tuple[str, str]] = {}

    def put(self, record: RegistryEvent) -> None:
        match record:
            case OfficerRegistered():
                self.officers[record.officer_id] = record.agency, record.name
            case PersonRegistered():
                self.people[record.person_id] = record.agency, record.name

    def differ(self, record_id: str) -> bool:
        officer, person = self.officers.get(record_id), self.people.get(record_id)
        return officer is not None and person is not None and officer != person


def check_identity(located: Located, record_id: str, identities: Identities) -> Iterator[FileError]:
    """Check that an officer and a person of one id are of one agency and one name."""
    if identities.differ(record_id):
        agency, name = identities.officers[record_id]
        person_agency, person_name = identities.people[record_id]
        yield located.error(
            "agency" if agency != person_agency else "name",
            f"Mã “{shown(record_id)}” là cán bộ “{shown(name)}” của {agency} và người “{shown(person_name)}” của "
            f"{person_agency}.",
            f"The id “{shown(record_id)}” is the officer “{shown(name)}” of {agency} and the person "
            f"“{shown(person_name)}” of {person_agency}.",
            "Ghi cùng cơ quan và cùng tên, hoặc dùng mã khác.",
            "Give both the same agency and name, or use another id.",
        )


def check_person(
    located: Located, person: PersonRegistered, registry: Registry, identities: Identities
) -> Iterator[FileError]:
    """Check a person's agency, contacts and offices."""
    yield from check_identity(located, person.person_id, identities)
    if person.agency not in registry.agencies:
        yield located.unknown("agency", "cơ quan", "agency", person.agency, "agency")
    yield from _contacts(located, person)
    for place, office in enumerate(person.offices):
        yield from _office(located, f"offices/{place}", person, office, registry)


def _contacts(located: Located, person: PersonRegistered) -> Iterator[FileError]:
    for place, contact in enumerate(person.contacts):
        if contact.channel not in CHANNELS:
            yield located.unknown(f"contacts/{place}/channel", "kênh liên lạc", "channel", contact.channel)
        elif contact.channel == "email" and not usable_address(contact.address):
            yield located.error(
                f"contacts/{place}/address",
                f"“{shown(contact.address)}” không phải địa chỉ thư dùng được.",
                f"“{shown(contact.address)}” is not a mail address that can be used.",
                "Ghi một địa chỉ như canbo@example.vn.",
                "Write one address like officer@example.vn.",
            )
        elif contact.channel == "phone" and not _PHONE.fullmatch(contact.address):
            yield located.error(
                f"contacts/{place}/address",
                f"“{shown(contact.address)}” không phải số điện thoại quốc tế.",
                f"“{shown(contact.address)}” is not an international telephone number.",
                "Ghi như +84912345678.",
                "Write it like +84912345678.",
            )


def _office(
    located: Located, place: str, person: PersonRegistered, office: PersonsOffice, registry: Registry
) -> Iterator[FileError]:
    right = RIGHTS.get(office.role)
    if right is None:
        yield located.unknown(f"{place}/role", "vai trò", "role", office.role)
    if office.agency not in registry.agencies:
        yield located.unknown(f"{place}/agency", "cơ quan", "agency", office.agency, "agency")
    for index, regime in enumerate(office.regimes):
        if regime not in registry.regimes:
            yield located.unknown(f"{place}/regimes/{index}", "chế độ báo cáo", "regime", regime, "regime")
    if office.until is not None and office.until < office.since:
        yield located.error(
            f"{place}/until",
            "Ngày thôi giữ trước ngày bắt đầu.",
            "The last day is before the first.",
            "Sửa hai ngày.",
            "Correct the dates.",
        )
    if right is not None and right.delegated:
        yield from _delegation(located, place, person, office, registry)
    elif office.delegated_by is not None:
        yield located.error(
            f"{place}/delegated_by",
            f"Vai trò {office.role} không cần ủy quyền.",
            f"The role {office.role} takes no delegation.",
            "Bỏ `delegated_by`.",
            "Leave `delegated_by` out.",
        )


def _delegation(
    located: Located, place: str, person: PersonRegistered, office: PersonsOffice, registry: Registry
) -> Iterator[FileError]:
    """Check a deputy's delegation: it is in writing, for a term, by the head."""
    given = registry.offices_of(office.delegated_by) if office.delegated_by is not None else ()
    if office.delegated_by == person.person_id or not any(_is_head_of(office.agency, held) for held in given):
        yield located.error(
            f"{place}/delegated_by",
            f"Người ủy quyền “{shown(office.delegated_by or '')}” không phải thủ trưởng của {office.agency}.",
            f"“{shown(office.delegated_by or '')}”, who delegates, is not a head of {office.agency}.",
            "Ghi mã của thủ trưởng ủy quyền (`role: head`).",
            "Give the id of the head who delegates (`role: head`).",
        )
    for name, value in (("until", office.until), ("document", office.document)):
        if not value:
            yield located.error(
                f"{place}/{name}",
                "Ủy quyền phải bằng văn bản và có thời hạn.",
                "A delegation is in writing and for a term.",
                f"Ghi `{name}`.",
                f"Give `{name}`.",
            )


def _is_head_of(agency: str, office: Office) -> bool:
    return office.role == "head" and office.agency == agency
