"""python -m services.notifier serve | migrate | replay | dead-letters | mail | gateway | ladders | check | rebuild"""

from __future__ import annotations

from services.notifier import check
from services.notifier.channels.commands import gateway
from services.notifier.commands import mail, rebuild_command
from services.notifier.ladders.commands import ladders
from services.notifier.mailing.commands import mailing, silences
from services.notifier.main import build
from shared.service.command import run

if __name__ == "__main__":
    run(
        "notifier",
        build,
        {
            "mail": (
                "xem trước, liệt kê, gửi lại, gửi thử, chứng minh / preview, list, resend, test, prove",
                mail,
            ),
            "ladders": ("thang chuyển cấp: xem thử, thử, nạp, liệt kê / ladders: check, test, load, list", ladders),
            "mailing": ("quy tắc gửi thư: xem thử, nạp, in / mailing rules: check, load, list, show", mailing),
            "silences": ("tạm ngừng báo: đặt, bỏ, liệt kê / silences: add, end, list", silences),
            "gateway": ("cổng tin nhắn: xem thử, gửi thử / gateways of short texts: check, test", gateway),
            "check": ("xem thử bản ghi danh mục / look at registry records before they are admitted", check.command),
            "rebuild": ("bắt đầu kho thay kho đã mất / begin in place of a lost database", rebuild_command),
        },
    )
