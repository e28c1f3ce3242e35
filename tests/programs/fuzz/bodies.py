"""Bodies that the services accept, by operation: a walk goes on from what was made, never from a refusal.

Each is made from a number, so that the same case has the same body. They fit the province of `tests/e2e/rig.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.e2e.rig import COMMUNE, PERIOD, REGIME

BEGUN = "2026-03-16T08:00:00+07:00"
LATER = "2026-04-15T17:00:00+07:00"
REASON = "Mất điện toàn huyện"
EVENTS = ["submission.received", "verdict.reached", "obligation.overdue"]


def _report(pick: int) -> dict[str, Any]:
    in_time, late = pick % 97, pick % 13
    total = in_time + late + pick % 3 % 2  # of three reports one has a sum that is wrong
    return {
        "regime": REGIME,
        "period": PERIOD,
        "officer": "cb-05",
        "figures": {"A": total, "A1": in_time, "A2": late, "B": f"{pick % 1000}.5"},
        "narratives": {"N": f"Kết quả trong tháng đạt kế hoạch đề ra, lần {pick}."},
    }


def _webhook(pick: int) -> dict[str, Any]:
    return {"url": f"https://bao-cao.h99.example/{pick}", "events": EVENTS, "contact": "cntt@h99.example"}


_WHY = ("withdrawal", "explanation", "appeals", "certification")

GOOD: Mapping[str, Callable[[int], dict[str, Any]]] = {
    "POST /v1/submissions": _report,
    "POST /v1/validations": _report,
    "POST /v1/submissions/{submission_id}/review": lambda pick: {
        "decision": ("approve", "rework")[pick % 2],
        "reason": REASON,
    },
    "POST /v1/obligations/{regime}/{period}/extensions": lambda pick: {"reason": REASON, "until": LATER},
    "POST /v1/obligations/{regime}/{period}/lateness": lambda pick: {"reason": REASON, "remedy": REASON},
    "POST /v1/obligations/{regime}/{period}/unlock": lambda pick: {"reason": REASON, "until": LATER},
    "POST /v1/information-requests": lambda pick: {
        "title": f"Số hộ nghèo {pick}",
        "question": "Đề nghị cung cấp số hộ nghèo.",
        "deadline": LATER,
        "agencies": [COMMUNE],
    },
    "POST /v1/waivers": lambda pick: {
        "regime": REGIME,
        "rule": "K01",
        "reason": f"Biểu mẫu chưa tách số liệu {pick}",
        "since": "2026-03-20",
        "until": "2026-04-15",
        "asked_by": "cb-05",
    },
    **{f"POST /v1/submissions/{{submission_id}}/{step}": lambda pick: {"reason": f"{REASON} {pick}"} for step in _WHY},
    "POST /v1/obligations/{regime}/{period}/appeals": lambda pick: {"reason": REASON},
    "POST /v1/information-requests/{request_id}/withdrawal": lambda pick: {"reason": REASON},
    "POST /v1/webhooks": _webhook,
    "PUT /v1/webhooks/{webhook_id}": lambda pick: _webhook(pick) | {"state": "active"},
    "POST /v1/webhooks/{webhook_id}/replay": lambda pick: {"since": BEGUN, "until": LATER},
    "POST /v1/silences": lambda pick: {"agency": COMMUNE, "until": "2026-03-20T08:00:00+07:00", "reason": REASON},
}
