"""What people call those who act, in Vietnamese and English."""

from __future__ import annotations

from collections.abc import Mapping

#: by the office in which somebody acts; `agency`: by the key of the agency's system
ACTORS: Mapping[str, tuple[str, str]] = {
    "agency": ("hệ thống của cơ quan", "the agency's system"),
    "reporting_officer": ("cán bộ đầu mối", "the reporting officer"),
    "head": ("thủ trưởng", "the head"),
    "deputy": ("cấp phó được ủy quyền", "a deputy with delegation"),
    "reviewer": ("người duyệt", "a reviewer"),
    "provincial_office": ("Văn phòng UBND", "the provincial office"),
    "chair": ("Chủ tịch UBND", "the chair"),
}
