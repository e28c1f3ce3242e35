"""An outbox row as a Kafka message: CloudEvents 1.0 in binary mode. The id is the row's, never Kafka's offset."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

SPEC_VERSION = b"1.0"
#: a record that was given up, byte for byte: it may be no JSON at all
DEAD_LETTER_TYPE = "vn.thongsuot.dead_letter.v1"


def source_of(service: str) -> bytes:
    """`ce_source` of what the service publishes."""
    return f"/thongsuot/{service}".encode()


def headers_of(row: Mapping[str, Any], source: bytes) -> list[tuple[str, bytes]]:
    """Kafka headers of a row of `outbox` or `outbox_archive`."""
    headers: list[tuple[str, bytes]] = [
        ("ce_specversion", SPEC_VERSION),
        ("ce_id", str(row["event_id"]).encode()),
        ("ce_type", row["type"].encode()),
        ("ce_source", source),
        ("ce_time", row["created_at"].isoformat().encode()),
        ("ce_subject", row["key"].encode()),
        ("content-type", b"application/octet-stream" if row["type"] == DEAD_LETTER_TYPE else b"application/json"),
    ]
    if row["traceparent"]:
        headers.append(("traceparent", row["traceparent"].encode()))
    if row["headers"]:
        headers.extend(decode_headers(row["headers"]))
    return headers


def encode_headers(headers: Any) -> str:
    """Headers as JSON text that jsonb takes, values in base64: any byte survives.

    A NUL in a name, which jsonb refuses, is shown as U+FFFD, and the name follows its value in base64.
    """
    return json.dumps([_stored(name, value) for name, value in headers])


def _stored(name: str, value: bytes | None) -> list[str]:
    encoded = base64.b64encode(value or b"").decode()
    if "\x00" not in name:
        return [name, encoded]
    return [name.replace("\x00", "\ufffd"), encoded, base64.b64encode(name.encode()).decode()]


def decode_headers(stored: Any) -> list[tuple[str, bytes]]:
    """The inverse of `encode_headers`; takes JSON text or the parsed value."""
    entries = json.loads(stored) if isinstance(stored, str) else stored
    return [
        (base64.b64decode(exact[0]).decode() if exact else name, base64.b64decode(value))
        for name, value, *exact in entries
    ]
