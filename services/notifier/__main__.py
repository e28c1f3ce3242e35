"""python -m services.notifier serve | migrate | replay | dead-letters | mail | check | rebuild"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from services.notifier import check
from services.notifier.commands import rebuild_command
from services.notifier.main import build
from services.notifier.preview import write
from services.notifier.templates import Composer, Sender
from shared.command import run


def mail(arguments: Sequence[str]) -> int:
    """`mail preview FOLDER`: write every letter as .eml, .txt and .html."""
    parser = argparse.ArgumentParser(prog="python -m services.notifier mail")
    actions = parser.add_subparsers(dest="action", required=True)
    preview = actions.add_parser("preview", help="ghi mọi mẫu thư ra thư mục / write every letter to a folder")
    preview.add_argument("folder", type=Path)
    preview.add_argument("--sender", default="khong-tra-loi@thongsuot.example", help="địa chỉ gửi / From address")
    given = parser.parse_args(arguments)
    for path in write(Composer(Sender(given.sender)), given.folder):
        print(path)
    return 0


if __name__ == "__main__":
    run(
        "notifier",
        build,
        {
            "mail": ("xem trước mẫu thư / preview the letters", mail),
            "check": ("xem thử bản ghi danh mục / look at registry records before they are admitted", check.command),
            "rebuild": ("bắt đầu kho thay kho đã mất / begin in place of a lost database", rebuild_command),
        },
    )
