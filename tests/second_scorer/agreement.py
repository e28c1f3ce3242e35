"""What is exported of a province, against what it must be: `python -m tests.second_scorer FOLDER MOMENT`.

The folder holds a `.jsonl` for each name of READ (one JSON object a line), and `obligations` and `score-lines` as
scoring exports them. MOMENT: until when deadlines were looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from tests.second_scorer.days import Data, moment
from tests.second_scorer.scorer import World, judge

#: fields of World
READ = (
    "calendars", "policies", "agencies", "officers", "regimes", "requests", "reliefs", "submissions", "verdicts",
    "steps",
)  # fmt: skip


def lines(path: Path) -> list[Data]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def differences(folder: Path, now: datetime) -> Iterator[str]:
    """One sentence for each value of an obligation that is exported otherwise than it must be."""
    world = World()
    for name in READ:
        setattr(world, name, lines(folder / f"{name}.jsonl"))
    ledger: dict[str, list[Data]] = {}
    for line in lines(folder / "score-lines.jsonl"):
        ledger.setdefault(line["obligation"], []).append(line)
    for row in lines(folder / "obligations.jsonl"):
        key = row["obligation"]
        must = judge(world, key, now)
        if must is None:
            yield f"{key}: there is no such obligation"
            continue
        written = ledger.get(key, [])
        reversed_ids = {line["reverses"] for line in written}
        in_force = sorted(
            (line["component"], line["clause"], Decimal(str(line["points"])))
            for line in written
            if line["reverses"] is None and line["line_id"] not in reversed_ids
        )
        score = None if row["score"] is None else Decimal(row["score"])
        for name, exported, derived in (
            ("owed", row["owed"], must.owed),
            ("standing", row["standing"], must.standing),
            ("overdue", row["overdue"], must.overdue),
            ("deadline", moment(row["deadline"]), must.deadline),
            ("on_time", row["on_time"], must.on_time),
            ("answer", row["answer_version"], must.answer),
            ("officer", row["officer_id"], must.officer[0] if must.officer else None),
            ("lines in force", in_force, sorted(must.lines)),
            ("score", score, must.score),
        ):
            if exported != derived:
                yield f"{key}: {name} is {exported}, must be {derived}"
