"""What operators' commands share: who gave one, for the record, and how they write a moment."""

from __future__ import annotations

import getpass
import os
from datetime import datetime

from shared.runtime.clock import LOCAL_ZONE


def who() -> str:
    """OPERATOR where it is set, else the account it runs under; at most 200 characters."""
    try:
        return (os.environ.get("OPERATOR") or getpass.getuser())[:200]
    except (KeyError, OSError):  # an account without a name
        return f"uid {os.getuid()}"


def when(moment: datetime) -> str:
    """In Vietnam's time, with its offset: a bare hour is read as local, and the database answers in UTC."""
    return f"{moment.astimezone(LOCAL_ZONE):%F %T%z}"
