"""Signs a message as Standard Webhooks 1.0 says: HMAC-SHA256 over id, time and body, once for each secret. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID


def message_id(delivery_id: UUID) -> str:
    """The same for every attempt."""
    return f"msg_{delivery_id.hex}"


def headers(delivery_id: UUID, at: datetime, body: bytes, secrets: Sequence[bytes]) -> dict[str, str]:
    """The three headers of an attempt. at: system time; secrets: the newest first."""
    name, seconds = message_id(delivery_id), str(int(at.timestamp()))
    signed = f"{name}.{seconds}.".encode() + body
    signatures = (base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode() for secret in secrets)
    return {
        "webhook-id": name,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
