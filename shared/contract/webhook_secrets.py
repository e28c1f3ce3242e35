"""Secrets of webhooks are derived, so none is stored or travels: intake and notifier hold the master keys. Pure.

Source: HKDF-SHA256 (RFC 5869); the form `whsec_…` of Standard Webhooks 1.0.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SECRET_BYTES = 32
MAX_KEYS = 10
_LINE = re.compile(r"([0-9a-f]{8}) ([A-Za-z0-9_-]{43})=?")
_CONTEXT = b"thongsuot webhook secret 1\0"


class BadMasterKeys(ValueError):
    """The file of master keys does not hold what it should; the message quotes none of it."""


@dataclass(frozen=True, slots=True, repr=False)
class MasterKeys:
    """The keys of the file, by id; new secrets are derived from the first."""

    keys: Mapping[str, bytes]

    @property
    def first(self) -> str:
        return next(iter(self.keys))

    def secret(self, master_key: str, webhook_id: UUID, generation: int) -> bytes:
        """The secret of an endpoint, 32 bytes. Raises KeyError where the file does not hold that key any more."""
        info = _CONTEXT + webhook_id.bytes + generation.to_bytes(4, "big")
        return HKDF(SHA256(), SECRET_BYTES, salt=None, info=info).derive(self.keys[master_key])


def shown(secret: bytes) -> str:
    """As its owner gets it, and as libraries of Standard Webhooks take it."""
    return f"whsec_{base64.b64encode(secret).decode()}"


def line_of(key_id: str, key: bytes) -> str:
    """A line of the file. key_id: 8 hexadecimal digits; key: 32 random bytes."""
    return f"{key_id} {base64.urlsafe_b64encode(key).decode().rstrip('=')}\n"


def read_master_keys(content: bytes) -> MasterKeys:
    """The keys of a file: a line each, the newest first, `#` begins a comment. Raises BadMasterKeys."""
    found: dict[str, bytes] = {}
    for number, line in enumerate(content.decode("ascii", "replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if (match := _LINE.fullmatch(line.strip())) is None or match[1] in found:
            raise BadMasterKeys(f"line {number} is not an id and a key, or repeats an id")
        try:
            found[match[1]] = base64.urlsafe_b64decode(match[2] + "=")
        except binascii.Error:
            raise BadMasterKeys(f"line {number} holds no key") from None
    if not 1 <= len(found) <= MAX_KEYS:
        raise BadMasterKeys(f"{len(found)} keys; there must be 1 to {MAX_KEYS}")
    return MasterKeys(found)
