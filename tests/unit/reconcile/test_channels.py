"""Reconcile takes a rung's text, and the letter behind one that failed, for what the ladder says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest

from deploy.reconcile.dossiers import Dossier
from deploy.reconcile.escalations import _ledger
from services.notifier.escalation.domain import Climb, Passed, Told
from services.notifier.ladders.data import parse_ladder

AT = datetime(2026, 10, 20, 9, tzinfo=UTC)
LADDER = Path("services/notifier/ladders/default.yaml").read_text(encoding="utf-8")
KEY = "H99.12/BC-THANG/2026-M10"


def notice(number: int, channel: str, *later: str, **changes: Any) -> dict[str, Any]:
    agency, regime, period = KEY.split("/")
    return {
        "id": UUID(int=number), "step": "overdue/rung-t", "officer_id": "head", "kind": "escalation", "created_at": AT,
        "agency": agency, "regime": regime, "period": period, "channel": channel, "next_channels": list(later),
        "urgent": False, "reason": None, "facts": json.dumps({"ladder_rung": "t"}), **changes,
    }  # fmt: skip


def found(channels: str, *notices: dict[str, Any]) -> list[str]:
    """The columns that differ where the head's rung names these channels."""
    body = LADDER.replace("tell: head, channels: [email]", f"tell: head, channels: [{channels}]")
    ladder = parse_ladder("x", body.encode()).ladder
    rung = next(one.rung for one in ladder.rungs if one.tell == "head")
    told = [one | {"step": f"overdue/rung-{rung}", "facts": json.dumps({"ladder_rung": rung})} for one in notices]
    climb = Climb(ladder, "overdue", 1, (Passed(rung, AT, (Told("head", "H99.12", f"overdue/rung-{rung}"),)),))
    dossier = Dossier(KEY, notifications=cast(Any, told))
    return [one.column for one in _ledger(dossier, cast(Any, {"number": 1}), climb)]


LATER = {"created_at": AT + timedelta(hours=1)}


@pytest.mark.parametrize(
    ("channels", "notices", "expected"),
    [
        ("sms, email", [notice(1, "sms", "email")], []),
        ("sms, email", [notice(1, "sms", "email"), notice(2, "email", **LATER)], []),
        ("sms", [notice(1, "email")], []),  # without a telephone or a gateway a letter tells
        ("email", [notice(1, "sms")], ["channel"]),
        ("email", [notice(1, "email"), notice(2, "sms", **LATER)], ["channel", "created_at"]),
    ],
)
def test_a_rung_tells_by_its_channels_one_after_the_other(
    channels: str, notices: list[dict[str, Any]], expected: list[str]
) -> None:
    assert sorted(found(channels, *notices)) == expected
