"""The link in an escalation letter by which its recipient answers: it names the notice and is signed. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from uuid import UUID

#: of the signature kept in a link: 128 bits
SIGNATURE_BYTES = 16


@dataclass(frozen=True, slots=True)
class AnswerLinks:
    """Makes and reads links. `base_url`: where people reach notifier, without a slash at its end."""

    base_url: str
    key: bytes

    def of(self, notice: UUID) -> str:
        """The address of the page on which the notice is answered."""
        return f"{self.base_url}/v1/answers/{notice.hex}.{self._signature(notice)}"

    def read(self, token: str) -> UUID | None:
        """The notice that a link names; None where it is none of ours."""
        name, _, signature = token.partition(".")
        try:
            notice = UUID(hex=name)
        except ValueError:
            return None
        ours = self._signature(notice)
        return notice if notice.hex == name and hmac.compare_digest(signature.encode(), ours.encode()) else None

    def _signature(self, notice: UUID) -> str:
        signed = hmac.new(self.key, b"notifier answer\0" + notice.bytes, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(signed[:SIGNATURE_BYTES]).rstrip(b"=").decode()
