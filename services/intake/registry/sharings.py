"""Rules of a permission to read the reports of others. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from services.intake.registry.records import Registry
from services.intake.registry.source import Located
from shared.contract.events import SharingGranted
from shared.runtime.file_errors import FileError


def check(located: Located, sharing: SharingGranted, registry: Registry) -> Iterator[FileError]:
    """Yield what is wrong with who reads which reports of whom, and how long."""
    if sharing.reader not in registry.agencies:
        yield located.unknown("reader", "cơ quan đọc", "reading agency", sharing.reader, "agency")
    if sharing.regime not in registry.regimes:
        yield located.unknown("regime", "chế độ báo cáo", "regime", sharing.regime, "regime")
    if sharing.below is not None and sharing.below not in registry.agencies:
        yield located.unknown("below", "cơ quan cấp trên", "agency above them", sharing.below, "agency")
    for place, agency in enumerate(sharing.agencies):
        if agency not in registry.agencies:
            yield located.unknown(f"agencies/{place}", "cơ quan", "agency", agency, "agency")
    if sharing.below is not None and sharing.agencies:
        yield located.error(
            "agencies",
            "Chỉ dùng một trong hai: `below` hoặc `agencies`; bỏ cả hai nếu là của mọi cơ quan.",
            "Give one of `below` and `agencies`; neither means the reports of all.",
            "Bỏ một trường.",
            "Leave one out.",
        )
    if sharing.until is not None and sharing.until < sharing.since:
        yield located.error(
            "until",
            "Ngày cuối trước ngày đầu.",
            "The last day is before the first.",
            "Sửa hai ngày.",
            "Correct the days.",
        )
