"""A fingerprint in the audit trail shows that a contact changed, and leads back to no single telephone number."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable

from services.intake.audit.domain import fingerprint

NUMBERS = [f"+8491{number:07}" for number in range(500_000)]


def alone(stands_for: Callable[[str], str]) -> int:
    """How many of the numbers have a text of their own, so that trying all numbers finds them."""
    return sum(count == 1 for count in Counter(map(stands_for, NUMBERS)).values())


def test_no_telephone_number_is_found_by_trying_all() -> None:
    assert alone(fingerprint) < 500
    assert alone(lambda number: hashlib.sha256(number.encode()).hexdigest()[:8]) > 400_000, "the control"


def test_another_contact_has_another_fingerprint() -> None:
    assert fingerprint("an@example.vn") == fingerprint("an@example.vn") != fingerprint("binh@example.vn")
    assert fingerprint("") == ""
