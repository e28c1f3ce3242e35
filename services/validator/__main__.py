"""python -m services.validator serve | migrate | replay | dead-letters | not-judged | findings | rules | check"""

from __future__ import annotations

from collections.abc import Sequence

from services.validator import check, commands, rejudging
from services.validator.main import build
from services.validator.rules.page import document
from shared.runtime.arguments import CommandParser
from shared.service.command import run


def findings(arguments: Sequence[str]) -> int:
    """Print docs/findings.md."""
    CommandParser(
        prog="python -m services.validator findings", description="In docs/findings.md / print docs/findings.md"
    ).parse_args(arguments)
    print(document(), end="")
    return 0


if __name__ == "__main__":
    run(
        "validator",
        build,
        {
            "not-judged": (
                "báo cáo chưa kiểm tra được, kiểm tra lại / reports that could not be judged, to judge them again",
                rejudging.command,
            ),
            "findings": ("in bảng mã kết quả kiểm tra / print docs/findings.md", findings),
            "rules": ("kiểm tra, chạy thử bộ quy tắc / check and try the rules of a form", commands.rules),
            "check": ("xem thử bản ghi danh mục / look at registry records before they are admitted", check.command),
        },
    )
