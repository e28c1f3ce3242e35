"""Telephone numbers, as the registry has them, as the ledger keeps them and as a gateway wants them. Pure."""

from __future__ import annotations

import re
from typing import Literal

Form = Literal["international", "plain", "national"]


def number_of(address: str) -> str | None:
    """A telephone number as +84912345678, from however it is written; None where it is none.

    A number without a country is of Vietnam. Source: ITU-T E.164: at most 15 digits.
    """
    plain = re.sub(r"[\s.()-]", "", address)
    digits = plain.removeprefix("+")
    if not digits.isascii() or not digits.isdigit():
        return None
    if plain.startswith("+"):
        found = digits
    elif digits.startswith("00"):
        found = digits[2:]
    elif digits.startswith("0"):
        found = f"84{digits[1:]}"
    else:
        found = digits if digits.startswith("84") else ""
    return f"+{found}" if 9 <= len(found) <= 15 and found[0] != "0" else None


def number_as(number: str, form: Form) -> str:
    """A number of `number_of` as the gateway wants it: +84…, 84… or 0…; one of another country has no national form."""
    if form == "international":
        return number
    return f"0{number[3:]}" if form == "national" and number.startswith("+84") else number[1:]
