"""What operators' commands share: who gave one, for the record, how they write a moment, what an argument may be."""

from __future__ import annotations

import argparse
import getpass
import os
import textwrap
from collections.abc import Sequence
from datetime import datetime

from shared.runtime.clock import LOCAL_ZONE

#: of the terminal that listings are made for
COLUMNS = 80


def who() -> str:
    """OPERATOR where it is set, else the account it runs under; at most 200 characters."""
    try:
        name = os.environ.get("OPERATOR") or getpass.getuser()
        return name.encode("utf-8", "replace").decode()[:200]
    except (KeyError, OSError):  # an account without a name
        return f"uid {os.getuid()}"


def named() -> dict[str, str]:
    """Settings of a database session that say who gives the command: what an audit trail's triggers write down."""
    return {"thongsuot.operator": who()}


def when(moment: datetime) -> str:
    """In Vietnam's time, with its offset: a bare hour is read as local, and the database answers in UTC."""
    return f"{moment.astimezone(LOCAL_ZONE):%F %T%z}"


def as_json(value: object) -> str:
    """For `json.dumps(default=…)`: moments as in lists, and bytes (a digest) in hex."""
    match value:
        case datetime():
            return when(value)
        case bytes():
            return value.hex()
        case _:
            return str(value)


#: PostgreSQL's bigint
_MAX_NUMBER = 2**63 - 1


def unreadable(arguments: Sequence[str]) -> str | None:
    """What is wrong with arguments that are not UTF-8: no database takes them. None where all are."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            return f"{argument!a}: không phải UTF-8 / is not UTF-8"
    return None


def number(text: str) -> int:
    """An argument that names a row; for argparse's `type`."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 0 < value <= _MAX_NUMBER:
        raise argparse.ArgumentTypeError(f"{text[:40]!r}: không phải số thứ tự / is not the number of a row")
    return value


def reason(text: str) -> str:
    """Why something is given up; it is kept as evidence, so it says something. For argparse's `type`."""
    if not text.strip():
        raise argparse.ArgumentTypeError("cần ghi lý do / say why")
    return text.strip()


def entry(head: str, *details: str) -> str:
    """One entry of a listing: what identifies it on a line of its own, its details under that, in 80 columns.

    Nothing is cut off; an identifier that is longer than a line stays whole, so that it can be copied.
    """
    joined = " · ".join(detail for detail in details if detail)
    lines = textwrap.wrap(
        joined, COLUMNS, initial_indent="    ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    return "\n".join([head, *lines])
