"""Who gave an operator's command, for the record: OPERATOR where it is set, else the account it runs under."""

from __future__ import annotations

import getpass
import os


def who() -> str:
    """At most 200 characters."""
    try:
        return (os.environ.get("OPERATOR") or getpass.getuser())[:200]
    except (KeyError, OSError):  # an account without a name
        return f"uid {os.getuid()}"
