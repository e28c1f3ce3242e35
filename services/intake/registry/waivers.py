"""Rules of a waiver: two people, one of them above; of days to come, since what has come is judged already. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from services.intake.registry.records import Registry
from services.intake.registry.source import Located
from shared.access.rights import APPROVERS, at_or_below
from shared.contract.events import RegistryEvent, WaiverGranted
from shared.contract.events.verdicts import WAIVABLE
from shared.runtime.file_errors import FileError
from shared.runtime.hidden_characters import shown

#: the longest term; who needs more asks again
MAX_DAYS = 366


def check(
    located: Located, waiver: WaiverGranted, registry: Registry, stored: RegistryEvent | None, today: date
) -> Iterator[FileError]:
    """Yield what is wrong with the rule, with who asks and who approves, and with the days. stored: the record before.

    One that is stored was admitted: only its last day may still change, to an earlier one.
    """
    if isinstance(stored, WaiverGranted):
        yield from _ended(located, waiver, stored, today)
        return
    yield from check_asked(located, waiver, registry, today)
    yield from _approver(located, waiver, registry, today)


def check_asked(located: Located, waiver: WaiverGranted, registry: Registry, today: date) -> Iterator[FileError]:
    """Yield what is wrong with a waiver before anybody has approved it."""
    yield from _rule(located, waiver, registry)
    for place, agency in enumerate(waiver.agencies):
        if agency not in registry.agencies:
            yield located.unknown(f"agencies/{place}", "cơ quan", "agency", agency, "agency")
    if not waiver.agencies:
        yield located.error(
            "agencies",
            "Miễn áp dụng phải nêu tên cơ quan.",
            "A waiver names its agencies.",
            "Ghi `agencies`.",
            "Give `agencies`.",
        )
    if not waiver.reason:
        yield located.error("reason", "Thiếu lý do.", "The reason is missing.", "Ghi `reason`.", "Give `reason`.")
    yield from _asker(located, waiver, registry, today)
    yield from _days(located, waiver, today)


def _rule(located: Located, waiver: WaiverGranted, registry: Registry) -> Iterator[FileError]:
    versions = registry.regimes.get(waiver.regime)
    if versions is None:
        yield located.unknown("regime", "chế độ báo cáo", "regime", waiver.regime, "regime")
        return
    own = {rule.id for regime in versions.values() for rule in regime.form.rules}
    if waiver.rule not in own | WAIVABLE:
        yield located.error(
            "rule",
            f"{shown(waiver.rule)} không phải quy tắc miễn được của {shown(waiver.regime)}.",
            f"{shown(waiver.rule)} is no rule of {shown(waiver.regime)} that can be waived.",
            f"Chọn mã quy tắc của biểu mẫu, hoặc một trong: {', '.join(sorted(WAIVABLE))}.",
            f"Choose the code of a rule of the form, or one of: {', '.join(sorted(WAIVABLE))}.",
        )


def _asker(located: Located, waiver: WaiverGranted, registry: Registry, today: date) -> Iterator[FileError]:
    tree = registry.tree(today)
    asker = registry.people.get(waiver.asked_by) or registry.officers.get(waiver.asked_by)
    if asker is None:
        yield located.unknown("asked_by", "người đề nghị", "person who asks", waiver.asked_by, "person")
    elif not all(at_or_below(agency, asker.agency, tree) for agency in waiver.agencies):
        yield located.error(
            "asked_by",
            "Người đề nghị không thuộc cơ quan được miễn hay cơ quan cấp trên của mọi cơ quan đó.",
            "Who asks is neither of the agency that is waived nor of one above all of them.",
            "Chọn người của cơ quan đó, hoặc tách thành nhiều bản ghi.",
            "Choose a person of that agency, or make several waivers.",
        )


def _approver(located: Located, waiver: WaiverGranted, registry: Registry, today: date) -> Iterator[FileError]:
    tree = registry.tree(today)
    approver = registry.people.get(waiver.approved_by)
    if approver is None:
        yield located.unknown("approved_by", "người phê duyệt", "person who approves", waiver.approved_by, "person")
    elif not all(
        any(
            office.role in APPROVERS
            and office.term.covers(today)
            and office.concerns(waiver.regime)
            and at_or_below(agency, office.agency, tree)
            for office, _ in approver.offices
        )
        for agency in waiver.agencies
    ):
        yield located.error(
            "approved_by",
            "Người phê duyệt không giữ nhiệm vụ Văn phòng UBND, Chủ tịch UBND hay quản trị đối với các cơ quan này.",
            "Who approves is not of the provincial office, the chair or an administrator over these agencies.",
            "Chọn người có thẩm quyền.",
            "Choose a person who may.",
        )
    if waiver.asked_by == waiver.approved_by:
        yield located.error(
            "approved_by",
            "Người đề nghị không tự phê duyệt.",
            "Who asks does not approve.",
            "Chọn người khác phê duyệt.",
            "Have another person approve.",
        )


def _days(located: Located, waiver: WaiverGranted, today: date) -> Iterator[FileError]:
    if waiver.since <= today:
        yield located.error(
            "since",
            "Báo cáo nhận đến hôm nay đã được kiểm tra; miễn áp dụng bắt đầu sớm nhất từ ngày mai.",
            "Reports received until today are judged already; a waiver begins tomorrow at the earliest.",
            f"Ghi {today + timedelta(days=1):%Y-%m-%d} hoặc sau đó.",
            f"Write {today + timedelta(days=1):%Y-%m-%d} or later.",
        )
    if not timedelta(0) <= waiver.until - waiver.since < timedelta(days=MAX_DAYS):
        yield located.error(
            "until",
            f"Ngày cuối phải sau ngày đầu, trong vòng {MAX_DAYS} ngày.",
            f"The last day lies after the first, within {MAX_DAYS} days.",
            "Sửa hai ngày.",
            "Correct the days.",
        )


def _ended(located: Located, waiver: WaiverGranted, before: WaiverGranted, today: date) -> Iterator[FileError]:
    if waiver.model_copy(update={"until": before.until, "version": before.version}) != before:
        yield located.error(
            "",
            "Miễn áp dụng đã ban hành chỉ đổi được ngày cuối.",
            "Of a waiver that is in the registry only the last day can change.",
            "Trả lại như cũ; cần khác thì lập bản ghi mới.",
            "Restore it; for another make a new one.",
        )
    if waiver.until != before.until and not (waiver.until < before.until and waiver.until >= today):
        yield located.error(
            "until",
            "Ngày cuối chỉ chuyển sớm lên, không trước hôm nay.",
            "The last day can only become earlier, and not lie before today.",
            "Ghi một ngày từ hôm nay đến ngày cuối cũ; muốn dài hơn thì lập bản ghi mới.",
            "Write a day from today to the old last day; for more time make a new one.",
        )
