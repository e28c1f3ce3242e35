"""`check`: says before its admission whether every letter that would name a registry record can be composed."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from services.notifier.delivery.ledger import ClaimedMail
from services.notifier.templates import CannotRender, Composer, Originator
from services.notifier.templates.preview import samples
from shared.contract.checking import Look, Objection, main
from shared.contract.events import AgencyRegistered, OfficerRegistered, RegimePublished, RegistryEvent, RequestIssued
from shared.contract.events.fields import usable_address
from shared.contract.text import header_safe

#: letters that name the agency in subject and text, and the one in which it is passed over
_ABOUT_AGENCIES = ("escalation", "escalation-climbed")
#: names tried together in one letter
_NAMES_AT_ONCE = 50
_PERIODS = {
    "weekly": "2026-W53",
    "monthly": "2026-M12",
    "quarterly": "2026-Q4",
    "half_yearly": "2026-H2",
    "nine_monthly": "2026-9M",
    "yearly": "2026",
    "adhoc": "DX-2026-001",
}


def command(arguments: Sequence[str]) -> int:
    """The command `check`; as `python -m …check` it starts without the rest of the service."""
    return main("notifier", checker, arguments)


def checker(look: Look) -> Callable[[RegistryEvent], Iterable[Objection]]:
    composer = Composer(Originator("khong-tra-loi@thongsuot.example"))
    letters = samples()
    longest = max((record.name for record in look.all if isinstance(record, AgencyRegistered)), key=len, default="")

    def check(record: RegistryEvent) -> Iterator[Objection]:
        match record:
            case RegimePublished():
                names = {"regime_name": record.name, "regime_name_en": record.name_en or None,
                         "legal_basis": record.legal_basis or None}  # fmt: skip
                facts = {"regime": record.code, "regime_version": record.regime_version,
                         "period": _PERIODS[record.frequency],
                         "reports": [_listed(record.name, record.name_en, _PERIODS[record.frequency])]}  # fmt: skip
                if longest:
                    facts["agency_name"] = longest
                yield from compose(letters.values(), facts, names, "/name")
            case RequestIssued():
                names = {"request_title": record.title, "request_title_en": record.title_en or None}
                facts = {"regime": record.regime, "period": record.request_id, "deadline": record.deadline,
                         "reports": [_listed("", "", record.request_id, record.title, record.title_en)]}  # fmt: skip
                yield from compose(letters.values(), facts, names, "/title")
            case AgencyRegistered():
                if record.code not in fine_agencies:
                    facts = {"agency": record.code, "agency_name": record.name, "agency_name_en": record.name_en,
                             "passed_over": (record.name,)}  # fmt: skip
                    yield from compose((letters[name] for name in _ABOUT_AGENCIES), facts, {}, "/name")
            case OfficerRegistered():
                if not record.active and not record.email:
                    return  # who has left gets no mail
                if not usable_address(record.email):
                    yield Objection(
                        "/email",
                        "Không gửi thư được tới địa chỉ này.",
                        "No mail can be sent to this address.",
                        "Ghi địa chỉ như canbo@example.vn.",
                        "Write an address like officer@example.vn.",
                    )
                elif record.officer_id not in fine_officers:
                    facts = {"recipient_name": record.name, "recipient_title": record.title,
                             "officer_name": record.name}  # fmt: skip
                    letter = dataclasses.replace(letters["escalation"], recipient=record.email)
                    yield from compose((letter,), facts, {}, "/name")

    def compose(
        mails: Iterable[ClaimedMail], facts: Mapping[str, Any], names: Mapping[str, str | None], pointer: str
    ) -> Iterator[Objection]:
        changes = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in facts.items()}
        for mail in mails:
            try:
                composer.compose(
                    dataclasses.replace(mail, facts={**mail.facts, **changes}, names={**mail.names, **names})
                )
            except CannotRender as error:
                yield Objection(
                    pointer,
                    f"Không soạn được thư ({mail.kind}): {error}.",
                    f"A letter ({mail.kind}) cannot be composed: {error}.",
                    "Sửa tên gọi: một dòng, không có ký tự ẩn.",
                    "Correct the name: one line, without hidden characters.",
                )
                return

    # one letter for each of thousands of people takes a minute, so try many names in one; only those whose letter fails
    # are then tried one by one
    fine_agencies: set[str] = set()
    for agencies in _groups([record for record in look.records if isinstance(record, AgencyRegistered)]):
        names = tuple(text for agency in agencies for text in (agency.name, agency.name_en))
        facts = {"agency_name": max(names, key=len), "agency_name_en": names[0], "passed_over": names}
        if _fit_for_headers(names) and not any(compose((letters["escalation-climbed"],), facts, {}, "")):
            fine_agencies.update(agency.code for agency in agencies)
    fine_officers: set[str] = set()
    for officers in _groups([record for record in look.records if isinstance(record, OfficerRegistered)]):
        names = tuple(text for officer in officers for text in (officer.name, officer.title))
        facts = {"recipient_name": max(names, key=len), "recipient_title": names[1], "passed_over": names}
        if _fit_for_headers(names) and not any(compose((letters["escalation-climbed"],), facts, {}, "")):
            fine_officers.update(officer.officer_id for officer in officers)
    return check


def _listed(regime: str, regime_en: str, period: str, request: str = "", request_en: str = "") -> dict[str, str]:
    """A report as a letter lists it that tells a person of the reports in his name."""
    return {"obligation": "H99.12/X/Y", "regime": regime, "regime_en": regime_en, "period": period, "request": request,
            "request_en": request_en, "version": "1", "received_at": "2026-10-19T09:00:00+07:00"}  # fmt: skip


T = TypeVar("T")


def _groups(records: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(records), _NAMES_AT_ONCE):
        yield records[start : start + _NAMES_AT_ONCE]


def _fit_for_headers(names: Iterable[str]) -> bool:
    try:
        for name in names:
            header_safe(name)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    raise SystemExit(command(sys.argv[1:]))
