"""Who may read which notices, and how a notice stands in plain words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from msgspec import Struct

from shared.access import Principal, reach_of
from shared.access.rights import Tree

#: between the system and its reader: no agency reads those of its people
PRIVATE = ("named", "digest")

#: state -> what it says: Vietnamese, English
STATES: Mapping[str, tuple[str, str]] = {
    "waiting": ("chờ đến giờ gửi", "waits for its hour"),
    "grouped": ("chờ gửi chung một thư", "waits to go in one letter with others"),
    "pending": ("đang gửi", "being sent"),
    "claimed": ("đang gửi", "being sent"),
    "in_data": ("đang gửi", "being sent"),
    "retry": ("chưa gửi được, đang gửi lại", "not sent yet, being tried again"),
    "sent": ("đã gửi", "sent"),
    "unknown": ("chưa rõ đã đến", "may have arrived"),
    "failed": ("không gửi được", "could not be sent"),
    "cancelled": ("thôi gửi vì không còn đúng", "not sent: true no more"),
    "skipped": ("không có ai để báo", "nobody to tell"),
}
_BOUNCED = ("bị trả về", "came back")
_ONWARD = ("; đã báo người kế tiếp", "; the next contact was told")
_HELD: Mapping[str, tuple[str, str]] = {
    "quiet_until": (" (ngoài giờ làm việc)", " (outside office hours)"),
    "limit": (" (đủ số thư trong ngày)", " (the day's mails are used up)"),
    "silence": (" (đang tạm ngừng báo)", " (silenced)"),
}


class Reach(Struct, frozen=True):
    """Which notices are read: those to a person, or those about what an agency owes under these regimes.

    regimes: None for every one.
    """

    person: str | None = None
    agency: str | None = None
    regimes: tuple[str, ...] | None = None


def reach(principal: Principal, agency: str | None, tree: Tree, on: date) -> Reach | None:
    """What the caller reads; None where that is not for the caller.

    agency: as it was asked for; without it a person reads the own notices, an agency's system those of the agency.
    """
    if principal.kind == "agency":
        own = agency in (None, principal.agency) and "read" in principal.scopes
        return Reach(agency=principal.agency) if own else None
    if agency is None:
        return Reach(person=principal.id)
    offices = [office for office, agencies in reach_of(principal, "read", tree, on) if agency in agencies]
    if not offices:
        return None
    named = {regime for office in offices for regime in office.regimes}
    return Reach(agency=agency, regimes=None if any(not one.regimes for one in offices) else tuple(sorted(named)))


def stands(state: str, reason: str | None, next_contact: str | None) -> tuple[str, str]:
    """How a notice stands, Vietnamese and English. next_contact: what was done where it failed."""
    vi, en = STATES[state]
    why = (reason or "").partition(":")[0]
    if state == "failed" and why == "bounced":
        vi, en = _BOUNCED
    held = _HELD.get(why, ("", "")) if state == "waiting" else ("", "")
    onward = _ONWARD if state == "failed" and (next_contact or "").startswith("person:") else ("", "")
    return vi + held[0] + onward[0], en + held[1] + onward[1]
