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
