"""python -m services.scoring serve | migrate | replay | dead-letters | setbacks | check | rebuild | …"""

from __future__ import annotations

from services.scoring import check
from services.scoring.calendar import draft, loading
from services.scoring.commands import rebuild_command, setbacks_command
from services.scoring.main import build
from services.scoring.recomputing import recompute_command
from services.scoring.reliefs.commands import reliefs_command
from services.scoring.scores.policy import loading as policies
from shared.service.command import run

if __name__ == "__main__":
    run(
        "scoring",
        build,
        {
            "setbacks": ("xem, thử lại việc bị lỗi riêng lẻ / list, retry setbacks of sweeps", setbacks_command),
            "recompute": ("tính lại mọi điểm và tình trạng / derive every standing and score again", recompute_command),
            "rebuild": ("bắt đầu kho thay kho đã mất / begin in place of a lost database", rebuild_command),
            "reliefs": ("gia hạn, miễn trừ: đề xuất, quyết định / reliefs: propose, decide", reliefs_command),
            "calendar-load": ("nạp một phiên bản lịch làm việc / load a calendar version", loading.load_command),
            "calendar-draft": ("in lịch dự thảo / print a calendar draft", draft.main),
            "policy-load": ("nạp một phiên bản quy tắc chấm điểm / load a scoring policy", policies.load_command),
            "policy-check": ("xem thử một quy tắc chấm điểm / look at a scoring policy", policies.check_command),
            "check": ("xem thử bản ghi danh mục / look at registry records before they are admitted", check.command),
        },
    )
