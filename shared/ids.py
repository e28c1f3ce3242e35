"""Identifiers are UUIDv7 (RFC 9562): they sort by the time at which they were given, so indexes grow at one end."""

from __future__ import annotations

from uuid import UUID

import uuid_utils


def new_id() -> UUID:
    """A new UUIDv7; within one process they rise monotonically."""
    return UUID(int=uuid_utils.uuid7().int)
