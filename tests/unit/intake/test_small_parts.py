"""What the page says of problems."""

from __future__ import annotations

import re
from pathlib import Path

from shared.web.errors import KINDS


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
