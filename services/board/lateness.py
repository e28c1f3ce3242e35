"""How late something is. Pure."""

from __future__ import annotations

from datetime import datetime


def days_after(deadline: datetime, until: datetime) -> int:
    """Whole days after the deadline, begun ones counted; 0 in time."""
    late = (until - deadline).total_seconds()
    return 0 if late <= 0 else int(late // 86400) + 1
