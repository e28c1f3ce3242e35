"""Rules of information requests and of withdrawals, beside those that every request keeps to (checks.py). Pure."""

from __future__ import annotations

from collections.abc import Iterator

from services.intake.registry.records import Registry
from services.intake.registry.source import Located
from shared.contract.addressing import closed_before
from shared.contract.events import RegistryEvent, RequestIssued
from shared.contract.reporting_window import local_day
from shared.runtime.file_errors import FileError
from shared.runtime.hidden_characters import shown


def check(
    located: Located, request: RequestIssued, registry: Registry, stored: RegistryEvent | None
) -> Iterator[FileError]:
    """Yield what is wrong with who asks, whom, by which form; and with a withdrawal. stored: the record before."""
    before = stored if isinstance(stored, RequestIssued) else None
    yield from _withdrawal(located, request, before)
    if before is not None and before.asked_by != request.asked_by:
        yield located.error(
            "asked_by",
            "Không đổi được cơ quan yêu cầu thông tin.",
            "Who asks for the information cannot change.",
            "Trả lại như cũ; cơ quan khác cần thông tin thì lập yêu cầu riêng.",
            "Restore it; another agency that needs the information asks for itself.",
        )
    if request.asked_by is None:
        return
    asker = registry.agencies.get(request.asked_by)
    if asker is None:
        yield located.unknown("asked_by", "cơ quan yêu cầu", "asking agency", request.asked_by, "agency")
    elif before is None and closed_before(asker, local_day(request.issued_at)):
        yield located.error(
            "asked_by",
            "Cơ quan yêu cầu đã chấm dứt hoạt động.",
            "The asking agency has closed.",
            "Cơ quan kế thừa lập yêu cầu này.",
            "Its successor asks instead.",
        )
    if not request.agencies:
        yield located.error(
            "agencies",
            "Yêu cầu thông tin phải nêu tên cơ quan được hỏi.",
            "An information request names the agencies that it asks.",
            "Ghi `agencies`.",
            "Give `agencies`.",
        )
    elif request.asked_by in request.agencies:
        yield located.error(
            f"agencies/{request.agencies.index(request.asked_by)}",
            "Cơ quan không tự yêu cầu thông tin của mình.",
            "An agency does not ask itself.",
            "Bỏ cơ quan này.",
            "Remove it.",
        )
    yield from _form(located, request, registry)


def _form(located: Located, request: RequestIssued, registry: Registry) -> Iterator[FileError]:
    """The regime that gives the form is the asker's, and lets a refusal in, which comes as a NIL report."""
    versions = registry.regimes.get(request.regime)
    if not versions:
        return  # named already
    regime = versions[max(versions)]
    if regime.receiver != request.asked_by:
        yield located.error(
            "regime",
            f"{shown(request.regime)} không phải chế độ mà cơ quan yêu cầu là nơi nhận.",
            f"{shown(request.regime)} is not a regime whose receiver is the asking agency.",
            "Chọn chế độ đột xuất có `receiver` là cơ quan yêu cầu.",
            "Choose an ad hoc regime whose `receiver` is the asking agency.",
        )
    if not regime.form.nil_allowed:
        yield located.error(
            "regime",
            f"Biểu của {shown(request.regime)} không cho phép từ chối hay chuyển (`nil_allowed`).",
            f"The form of {shown(request.regime)} admits no refusal or referral (`nil_allowed`).",
            "Chọn chế độ có `nil_allowed: true`.",
            "Choose a regime with `nil_allowed: true`.",
        )


def _withdrawal(located: Located, request: RequestIssued, before: RequestIssued | None) -> Iterator[FileError]:
    if before is not None and before.withdrawn_at is not None and before.withdrawn_at != request.withdrawn_at:
        yield located.error(
            "withdrawn_at",
            "Yêu cầu đã rút thì không khôi phục được.",
            "A request that was withdrawn stays so.",
            "Trả lại như cũ, hoặc lập yêu cầu mới.",
            "Restore it, or issue a new request.",
        )
    if (request.withdrawn_at is None) != (not request.withdrawal_reason):
        yield located.error(
            "withdrawal_reason",
            "`withdrawn_at` và `withdrawal_reason` phải đi cùng nhau.",
            "`withdrawn_at` and `withdrawal_reason` go together.",
            "Ghi cả hai, hoặc bỏ cả hai.",
            "Give both, or neither.",
        )
    elif request.withdrawn_at is not None and request.withdrawn_at < request.issued_at:
        yield located.error(
            "withdrawn_at",
            "Thời điểm rút trước thời điểm yêu cầu.",
            "It is withdrawn before it is issued.",
            "Sửa hai thời điểm.",
            "Correct the moments.",
        )
