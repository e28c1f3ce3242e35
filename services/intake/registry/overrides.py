"""The rules of deadline overrides: each is for one sort of group, gives one deadline, and ties with none. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from services.intake.registry.records import Registry
from services.intake.registry.source import Located
from shared.contract.addressing import override_of, submits
from shared.contract.events import RegimePublished
from shared.contract.events.registry import DeadlineOverride
from shared.runtime.file_errors import FileError
from shared.runtime.hidden_characters import shown


def check(located: Located, regime: RegimePublished, registry: Registry) -> Iterator[FileError]:
    if regime.deadline.overrides and regime.frequency == "adhoc":
        yield located.error(
            "deadline/overrides",
            "Báo cáo đột xuất, chuyên đề không có thời hạn riêng: mỗi yêu cầu ghi thời hạn của nó.",
            "An ad hoc regime has no deadline overrides: each request states its own deadline.",
            "Bỏ `overrides`; nếu một số cơ quan có hạn khác, ra một yêu cầu riêng cho các cơ quan đó.",
            "Leave `overrides` out; for agencies with another deadline issue a request of their own.",
        )
    seen: dict[tuple[str, str], int] = {}
    for place, override in enumerate(regime.deadline.overrides):
        at = f"deadline/overrides/{place}"
        yield from _shape(located, at, override, regime)
        yield from _known(located, at, override, registry)
        for named in _names(override):
            first = seen.setdefault(named, place)
            if first != place:
                yield _tie(located, at, named, first)
        if not any(
            override_of(agency, (override,), sorted(registry.ever_above(agency.code)))
            for agency in registry.agencies.values()
            if submits(agency, regime, registry.ever_above(agency.code))
        ):
            yield located.error(
                at,
                "Thời hạn riêng này không dành cho cơ quan nào phải gửi báo cáo.",
                "This override is for no submitter of the regime.",
                "Sửa mã hoặc loại cơ quan, hoặc bỏ đi.",
                "Correct the codes or kinds, or remove it.",
            )


def _names(override: DeadlineOverride) -> Iterator[tuple[str, str]]:
    for field in ("agencies", "parents", "kinds"):
        for name in getattr(override, field):
            yield field, name


def _shape(located: Located, at: str, override: DeadlineOverride, regime: RegimePublished) -> Iterator[FileError]:
    if sum(bool(group) for group in (override.agencies, override.parents, override.kinds)) != 1:
        yield located.error(
            at,
            "Ghi đúng một trong `agencies`, `parents`, `kinds`.",
            "It is for `agencies`, for `parents` or for `kinds`: exactly one of them.",
            "Tách thành nhiều thời hạn riêng.",
            "Write an override of its own for each.",
        )
    if (override.deadline is None) == (override.extra_working_days is None):
        yield located.error(
            at,
            "Ghi hoặc `deadline`, hoặc `extra_working_days`.",
            "It gives either a `deadline` or `extra_working_days`.",
            "Giữ một trong hai.",
            "Keep one of them.",
        )
    if not override.reason:
        yield located.error(
            f"{at}/reason",
            "Thiếu lý do có thời hạn riêng.",
            "The reason for another deadline is missing.",
            "Ghi `reason`; cơ quan được áp dụng đọc được lý do này.",
            "Give `reason`; the agencies that it is for read it.",
        )
    rule = override.deadline
    if rule is None:
        return
    wrong = {"on_request"} | ({"day_of_month"} if regime.frequency == "weekly" else {"weekday"})
    if rule.rule in wrong:
        yield located.error(
            f"{at}/deadline/rule",
            f"`{rule.rule}` không dùng được cho báo cáo có kỳ này.",
            f"`{rule.rule}` gives no deadline of such a period.",
            "Dùng `working_days_after_cutoff`, hoặc `weekday` cho báo cáo tuần, `day_of_month` cho các kỳ theo tháng.",
            "Use `working_days_after_cutoff`, or `weekday` for weeks and `day_of_month` for periods of months.",
        )


def _known(located: Located, at: str, override: DeadlineOverride, registry: Registry) -> Iterator[FileError]:
    for field, vi, en in (("agencies", "cơ quan", "agency"), ("parents", "cơ quan cấp trên", "parent agency")):
        for place, code in enumerate(getattr(override, field)):
            if code not in registry.agencies:
                yield located.unknown(f"{at}/{field}/{place}", vi, en, code, "agency")


def _tie(located: Located, at: str, named: tuple[str, str], first: int) -> FileError:
    field, name = named
    return located.error(
        f"{at}/{field}",
        f"“{shown(name)}” đã có ở `deadline/overrides/{first}`: không rõ thời hạn nào được áp dụng.",
        f"“{shown(name)}” is in `deadline/overrides/{first}` too: nobody could tell which deadline holds.",
        "Chỉ ghi một lần.",
        "Name it once.",
    )
