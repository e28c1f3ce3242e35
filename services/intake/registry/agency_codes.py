"""The older form of an agency's code, QCVN 102:2016/BTTTT: the same levels, the highest last; pure.

`000.00.01.H99` is `H99.01` of QĐ 20/2020/QĐ-TTg: four levels of fixed width, zeros where there is none. Both name one
agency, so files and paths may use either; the newer one is kept. A code that does not fit the widths has no older form.
"""

from __future__ import annotations

import re
from typing import Any

from services.intake.registry.records import Kind

_OLDER = re.compile(r"(?P<fourth>[0-9]{3})\.(?P<third>[0-9]{2})\.(?P<second>[0-9]{2})\.(?P<first>[A-Z][0-9]{2})")
_NEWER = re.compile(
    r"(?P<first>[A-Z][0-9]{2})(?:\.(?P<second>[0-9]{2})(?:\.(?P<third>[0-9]{2})(?:\.(?P<fourth>[0-9]{3}))?)?)?"
)
_LEVELS = ("first", "second", "third", "fourth")

#: fields of each kind that hold codes of agencies
_FIELDS: dict[Kind, tuple[str, ...]] = {
    "agency": ("code", "parent", "successors"),
    "officer": ("agency",),
    "person": ("agency",),
    "regime": ("receiver", "submitters", "submitters_except", "submitter_parents"),
    "request": ("agencies", "asked_by"),
    "sharing": ("reader", "below", "agencies"),
    "reference": (),
    "waiver": ("agencies",),
}


def newer(code: str) -> str:
    """The code of QĐ 20/2020/QĐ-TTg for one in either form; what is neither stays as it is."""
    found = _OLDER.fullmatch(code)
    if found is None:
        return code
    groups = [found[level] for level in _LEVELS]
    while not groups[-1].strip("0"):
        groups.pop()
    # a gap, such as a third level without a second, is no agency's code
    return code if any(not group.strip("0") for group in groups[1:]) else ".".join(groups)


def older(code: str) -> str | None:
    """The code in the form of QCVN 102:2016, or None where it has none."""
    found = _NEWER.fullmatch(code)
    if found is None:
        return None
    groups = (found["fourth"] or "000", found["third"] or "00", found["second"] or "00", found["first"])
    form = ".".join(groups)
    return form if newer(form) == code else None


def with_newer_codes(kind: Kind, value: Any) -> Any:
    """A proposed record with each agency's code in the newer form."""
    if not isinstance(value, dict):
        return value
    renamed = {name: _each_newer(value[name]) for name in _FIELDS[kind] if name in value}
    if kind == "person" and isinstance(value.get("offices"), list):
        renamed["offices"] = [_member(office, "agency") for office in value["offices"]]
    if kind == "agency" and isinstance(value.get("parents"), list):
        renamed["parents"] = [_member(parent, "code") for parent in value["parents"]]
    deadline = value.get("deadline") if kind == "regime" else None
    if isinstance(deadline, dict) and isinstance(overrides := deadline.get("overrides"), list):
        newest = [_member(_member(override, "agencies"), "parents") for override in overrides]
        renamed["deadline"] = deadline | {"overrides": newest}
    return value | renamed


def _member(value: Any, name: str) -> Any:
    return value | {name: _each_newer(value[name])} if isinstance(value, dict) and name in value else value


def _each_newer(value: Any) -> Any:
    match value:
        case str():
            return newer(value)
        case list():
            return [newer(one) if isinstance(one, str) else one for one in value]
        case _:
            return value
