"""By which channels a rung's notices may have gone: one after the other, where the one before has failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.notifier.ladders.domain import EMAIL, Ladder
from services.notifier.metrics import TEXT_CHANNELS


def of_rung(ladder: Ladder, rung: str) -> tuple[str, ...]:
    """The channels that the rung names; by mail whoever can be reached by none of them is told."""
    return (*next((one.channels for one in ladder.rungs if one.rung == rung), ()), EMAIL)


def planned(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The notices of a step without those that follow a channel which failed."""
    return [row for row in rows if not any(_follows(row, other) for other in rows)]


def allowed(row: Mapping[str, Any], channels: Sequence[str]) -> str:
    """The channel that the notice is to have: its own, where it is one of these."""
    return str(row["channel"]) if row["channel"] in channels else channels[0]


def known(row: Mapping[str, Any]) -> list[str]:
    """What the notice goes on by where its own channel fails: a rung's alone, and by other channels that there are."""
    if row["kind"] not in ("escalation", "resolved"):
        return []
    return [one for one in row["next_channels"] if one in (*TEXT_CHANNELS, EMAIL) and one != row["channel"]]


def _follows(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    by_it = row["channel"] in other["next_channels"] and row["officer_id"] == other["officer_id"]
    return by_it and bool(other["id"] < row["id"])
