"""The folding of an obligation's standing; what the page says of problems."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from services.intake.obligations.standing import fold
from shared.contract.events import ObligationFulfilled, ObligationOpened, ObligationOverdue, ScoreChanged
from shared.web.errors import KINDS

_COMMON = {
    "obligation": "H99.01/KTXH/2026-M10", "agency": "H99.01", "regime": "KTXH", "regime_version": 1,
    "period": "2026-M10", "deadline": datetime(2026, 10, 18, 10, tzinfo=UTC), "at": datetime(2026, 10, 1, tzinfo=UTC),
}  # fmt: skip


def test_a_standing_keeps_what_a_later_event_does_not_say_and_ignores_older_ones() -> None:
    opened = ObligationOpened(**_COMMON, standing="nothing_sent", version=1, calendar_version="v1")
    overdue = ObligationOverdue(**_COMMON, standing="nothing_sent", version=2)
    scored = ScoreChanged(
        **_COMMON, standing="nothing_sent", version=3, policy_version="p", score=Decimal("-1.50"), lines=()
    )
    fulfilled = ObligationFulfilled(
        **_COMMON, standing="fulfilled", version=4, submission_id=UUID(int=1), submission_version=1,
        received_at=_COMMON["at"], on_time=False,
    )  # fmt: skip
    standing = None
    for event in (opened, overdue, scored, fulfilled, overdue, opened):
        standing = fold(standing, event)
    assert standing is not None
    assert (standing.version, standing.standing, standing.overdue, standing.on_time, standing.score) == (
        4,
        "fulfilled",
        False,
        False,
        Decimal("-1.50"),
    )


def test_what_was_called_overdue_and_proved_to_be_in_time_is_overdue_no_more() -> None:
    """Scoring takes it back in the score's event alone; an event of before that field says nothing of it."""
    overdue = ObligationOverdue(**_COMMON, standing="nothing_sent", version=2)
    scored = {"standing": "awaiting_verdict", "policy_version": "p", "score": Decimal(0), "lines": ()}
    standing = fold(fold(None, overdue), ScoreChanged(**_COMMON, **scored, version=3))
    assert standing.overdue is True
    assert fold(standing, ScoreChanged(**_COMMON, **scored, version=4, overdue=False)).overdue is False


def test_every_problem_a_sender_can_meet_is_documented_with_its_status() -> None:
    from services.intake import main  # noqa: F401 - declares all of them

    page = (Path(__file__).resolve().parents[3] / "docs" / "api.md").read_text(encoding="utf-8")
    # by the sources: other tests of the same process may have described kinds of their own
    root = Path(__file__).resolve().parents[3]
    sources = [*(root / "services" / "intake").rglob("*.py"), *(root / "shared").rglob("*.py")]
    ours = {slug for path in sources for slug in re.findall(r'describe\(\s*"([^"]+)"', path.read_text())}
    assert len(ours) > 10
    undocumented = [
        kind.slug
        for kind in KINDS.values()
        if kind.slug in ours - {"conflict", "forbidden"} and f"| `{kind.slug}` | {kind.status} |" not in page
    ]
    assert undocumented == []
