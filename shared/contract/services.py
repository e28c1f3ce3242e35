"""The services, the one list of them: whatever must know all of them reads it here.

A new service is a line here, a topic in `OWNERS` (events/base.py), its subscriptions (subscriptions.py) and its ports
(deploy/local/options.py).
"""

from __future__ import annotations

#: service -> title and description, Vietnamese and English, in the order in which a submission meets them
TITLES: dict[str, tuple[str, str]] = {
    "intake": ("Tiếp nhận (intake)", "Nhận báo cáo và quản lý danh mục / takes reports and keeps the registry"),
    "validator": ("Kiểm tra (validator)", "Kiểm tra nội dung báo cáo / checks what reports say"),
    "scoring": ("Chấm điểm (scoring)", "Theo dõi nghĩa vụ và chấm điểm kỷ luật báo cáo / obligations and their scores"),
    "notifier": ("Thông báo (notifier)", "Nhắc, báo quá hạn và chuyển cấp / reminds, notifies and escalates"),
    "board": ("Bảng theo dõi (board)", "Ai chậm, từ bao giờ, vì sao / who is behind, since when and why"),
}
SERVICES = tuple(TITLES)
