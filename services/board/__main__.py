"""python -m services.board serve | migrate | accounts | check | signing-key | rebuild | …"""

from __future__ import annotations

from services.board import check
from services.board.commands import accounts, rebuild, signing_key
from services.board.main import build
from shared.service.command import run

if __name__ == "__main__":
    run(
        "board",
        build,
        {
            "accounts": ("tài khoản: mời, liệt kê, đóng / accounts: invite, list, close", accounts),
            "check": ("xem thử bản ghi danh mục / look at registry records before they are admitted", check.command),
            "signing-key": ("khóa để thay mặt người đăng nhập / the key to act for who is signed in", signing_key),
            "rebuild": ("bỏ bản đọc, theo dõi lại từ đầu / drop the read model and follow anew", rebuild),
        },
    )
