"""The board's own metrics, each declared once."""

from __future__ import annotations

from shared.telemetry.metrics import declare_counter

SIGN_INS_TOTAL = declare_counter(
    "thongsuot_board_sign_ins_total",
    "Sign-ins by result: in, wrong (id or password), locked (after too many wrong ones).",
    unit="requests",
    labels=["result"],
    values={"result": ("in", "wrong", "locked")},
)

ACTIONS_TOTAL = declare_counter(
    "thongsuot_board_actions_total",
    "What people asked of the services from pages, by action and result: done, refused.",
    unit="requests",
    labels=["action", "result"],
    values={
        "action": (
            "answers",
            "handing-on",
            "certification",
            "review",
            "submission",
            "withdrawal",
            "explanation",
            "appeal",
            "extension",
            "unlock",
            "waiver",
            "decision",
        ),
        "result": ("done", "refused"),
    },
)
