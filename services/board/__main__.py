"""python -m services.board serve | migrate | accounts | check | rebuild | …"""

from __future__ import annotations

from services.board import check
from services.board.commands import accounts, rebuild
from services.board.main import build
from shared.service.command import run

if __name__ == "__main__":
    run(
        "board",
        build,
        {
            "accounts": ("tài khoản: mời, liệt kê, đóng / accounts: invite, list, close", accounts),
            "check": ("xem thử bản ghi danh mục / look at registry records before they are admitted", check.command),
            "rebuild": ("bỏ bản đọc, theo dõi lại từ đầu / drop the read model and follow anew", rebuild),
        },
    )
