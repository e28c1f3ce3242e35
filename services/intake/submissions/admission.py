"""Whether an agency may send this report at all: known regime, its submitter, its period, its officer.

Pure. What the report says is the validator's to judge. NĐ 09/2019/NĐ-CP Điều 7 (who submits), Điều 12 (cut-offs).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from msgspec import Struct

from services.intake.registry.records import Agency, Registry
from shared.contract import period as periods
from shared.contract.addressing import asked, asked_on, closed_before, submits
from shared.contract.events import RegimePublished
from shared.contract.reporting_window import (
    BACK_DAYS,
    FIRST_YEAR,
    NoWindow,
    Window,
    local_day,
    outside,
    window_of,
)
from shared.runtime.clock import LOCAL_ZONE
from shared.web.errors import FieldError

#: people that a refusal names
MAX_ANSWERING = 10


class Admitted(Struct, frozen=True):
    """The report may come in; this version of the regime governs its period."""

    regime_version: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The agency had closed before the period's window; its successors owe the report."""

    agency: str
    closed_on: date
    successors: tuple[str, ...]

    @property
    def error(self) -> FieldError:
        """As one error among others."""
        successors = ", ".join(self.successors)
        whom = f"Cơ quan kế thừa gửi báo cáo này: {successors}." if successors else "Kiểm tra kỳ báo cáo."
        whom_en = f"Its successors send this report: {successors}." if successors else "Check the period."
        return FieldError(
            "/period",
            f"{self.agency} chấm dứt hoạt động ngày {self.closed_on:%d/%m/%Y}, trước kỳ báo cáo này.",
            f"{self.agency} closed on {self.closed_on.isoformat()}, before this period.",
            whom,
            whom_en,
        )


@dataclass(frozen=True, slots=True)
class Refused:
    """Everything that is wrong with the envelope; nothing, where the little that could be read is in order."""

    errors: tuple[FieldError, ...]


#: (regime, period) -> its window, and the first moment at which a report is taken
Windows = dict[tuple[str, str], tuple[Window[RegimePublished], datetime]]


class Named(Protocol):
    """What is said of regime, period and officer; empty where it cannot be read, which is reported already."""

    @property
    def regime(self) -> str: ...
    @property
    def period(self) -> str: ...
    @property
    def officer(self) -> str: ...
    @property
    def declines(self) -> str: ...
    @property
    def refer_to(self) -> str: ...


def check(
    report: Named, agency_code: str, registry: Registry, now: datetime, windows: Windows | None = None
) -> Admitted | Closed | Refused:
    """Judge the envelope by the registry at business time `now`: everything that is wrong with it, or how it may enter.

    `windows` remembers what was found of regime and period: give the same one again as long as `registry` is the same.
    """
    agency = registry.agencies.get(agency_code)
    if agency is None:
        return Refused((_NO_AGENCY,))
    versions = registry.regimes.get(report.regime)
    errors = _declining_errors(report, agency, registry, now)
    if report.officer:
        errors += _officer_errors(report.officer, agency, report.regime if versions else "", registry)
    if not versions:
        if report.regime:
            errors.append(_unknown_regime(report.regime))
        if report.period and (why := _misspelt(report.period)):
            errors.append(_bad_period(report.period, None, why))
        return Refused(tuple(errors))
    known = None if windows is None else windows.get((report.regime, report.period))
    if known is None:
        found = _window(report, registry, versions) if report.period else None
        if found is None or isinstance(found, FieldError):
            # of an ad hoc request that is not known, nobody can say who answers it
            may = (agency, *registry.inherits_from(agency.code))
            if not any(
                version.frequency == "adhoc"
                or any(submits(entry, version, registry.ever_above(entry.code)) for entry in may)
                for version in versions.values()
            ):
                errors.append(_not_submitter(agency.code, report.regime))
            return Refused((*errors, found) if found else tuple(errors))
        known = found, found.accepted_from(early_allowed=found.governing.early_allowed)
        if windows is not None:
            windows[report.regime, report.period] = known
    window, accepted_from = known
    regime = window.governing
    inherited = False
    if not asked_on(agency, regime, window.addressed, registry, window.last):
        inherited = _inherits(agency, window, registry)
    above = registry.above(agency.code, window.last)
    if not inherited and not asked(agency, regime, window.addressed, above):
        errors.append(_not_submitter(agency.code, report.regime if not window.addressed else report.period))
    closed_on = agency.closed_on if closed_before(agency, window.first) else None
    if not inherited and agency.opened_on > window.last:
        errors.append(_not_open_yet(agency))
    match outside(accepted_from, window.last, now):
        case "too_early":
            errors.append(_too_early(report.period, window, accepted_from))
        case "too_old":
            errors.append(_too_old(report.period))
    if closed_on is not None:
        closed = Closed(agency.code, closed_on, agency.successors)
        if not errors:
            return closed
        errors.append(closed.error)
    return Refused(tuple(errors)) if errors else Admitted(regime.regime_version)


def _inherits(agency: Agency, window: Window[RegimePublished], registry: Registry) -> bool:
    """Whether an agency that closed after the window's first day has handed this report on to the agency.

    Scoring says whether it was still open then; a report of what was not is followed and not scored.
    """
    return any(
        asked_on(closed, window.governing, window.addressed, registry, window.last)
        and not closed_before(closed, window.first)
        for closed in registry.inherits_from(agency.code)
    )


def _window(
    report: Named, registry: Registry, versions: dict[int, RegimePublished]
) -> Window[RegimePublished] | FieldError:
    if why := _misspelt(report.period):
        return _bad_period(report.period, versions, why)
    period = periods.parse(report.period)
    request = registry.requests.get(report.period) if period.frequency == "adhoc" else None
    if request is not None and request.regime != report.regime:
        request = None
    window = window_of(versions.values(), period, request)
    if isinstance(window, NoWindow):
        match window.why:
            case "no_such_request":
                return _no_request(report.period, report.regime)
            case "withdrawn":
                return _withdrawn(report.period)
            case "other_frequency":
                return _bad_period(report.period, versions, "")
            case "not_in_force":
                return _not_in_force(report.regime, report.period)
            case "before_calendar":
                return _too_old(report.period)
            case "deadline_before_issue":
                return _deadline_before_issue(report.period)
    return window


def _misspelt(period: str) -> str:
    """Why this is no period of any regime, in English, or nothing."""
    try:
        periods.parse(period)
    except periods.PeriodError as error:
        return str(error)
    return ""


def _officer_errors(code: str, agency: Agency, regime: str, registry: Registry) -> list[FieldError]:
    """`regime`: one that is known, or nothing."""
    officer = registry.officers.get(code)
    if officer is not None and officer.answers(agency.code, regime):
        return []
    # another agency's officer is reported like an unknown one: who works elsewhere is not this agency's to learn
    if officer is None or officer.agency != agency.code:
        message = f"Cơ quan {agency.code} không có cán bộ “{code}”."
        message_en = f"Agency {agency.code} has no officer “{code}”."
    elif not officer.active:
        message = f"Cán bộ “{code}” không còn phụ trách báo cáo."
        message_en = f"Officer “{code}” is no longer active."
    else:
        message = f"Cán bộ “{code}” không được giao báo cáo {regime} và không phải thủ trưởng."
        message_en = f"Officer “{code}” is not designated for {regime} and is not the head."
    who = registry.answering(agency.code, regime)
    if not who:
        fix = "Danh mục chưa có ai phụ trách báo cáo này; đề nghị quản trị bổ sung cán bộ."
        fix_en = "The registry names nobody who may answer; ask the administrator to add an officer."
    else:
        listed = ", ".join(who[:MAX_ANSWERING]) + (", …" if len(who) > MAX_ANSWERING else "")
        fix = f"Ghi mã cán bộ được giao hoặc thủ trưởng: {listed}."
        fix_en = f"Name an officer designated for it, or the head: {listed}."
    return [FieldError("/officer", message, message_en, fix, fix_en)]


def _declining_errors(report: Named, agency: Agency, registry: Registry, now: datetime) -> list[FieldError]:
    """Only an information request may be refused, or its asker referred to another agency that exists."""
    if not report.declines:
        return []
    errors = []
    request = registry.requests.get(report.period)
    if report.period and (request is None or request.asked_by is None):
        errors.append(_NOT_TO_BE_DECLINED)
    if report.refer_to:
        other = registry.agencies.get(report.refer_to)
        asker = None if request is None else request.asked_by
        if other is None or closed_before(other, local_day(now)) or other.code in (agency.code, asker):
            errors.append(_refer_to_whom(report.refer_to))
    return errors


_NOT_TO_BE_DECLINED = FieldError(
    "/declines",
    "Chỉ yêu cầu thông tin giữa các cơ quan mới từ chối hoặc chuyển được; báo cáo này phải gửi.",
    "Only an information request of another agency may be declined; this report is owed.",
    "Bỏ `declines`; không có số liệu thì ghi `nil: true` nếu chế độ cho phép.",
    "Leave `declines` out; with nothing to report write `nil: true` where the regime allows it.",
)


def _refer_to_whom(code: str) -> FieldError:
    return FieldError(
        "/refer_to",
        f"Không chuyển đến “{code}” được: phải là một cơ quan khác, đang hoạt động, không phải cơ quan hỏi.",
        f"The asker cannot be referred to “{code}”: it must be another agency that exists, and not the asker.",
        "Ghi mã của cơ quan có thông tin.",
        "Give the code of the agency that has the information.",
    )


_NO_AGENCY = FieldError(
    "",
    "Cơ quan của khóa này không có trong danh mục.",
    "The agency of this key is not in the registry.",
    "Liên hệ quản trị hệ thống để nạp danh mục cơ quan.",
    "Ask the system administrator to load the registry.",
)

_EXAMPLES = {
    "weekly": "2026-W07",
    "monthly": "2026-M10",
    "quarterly": "2026-Q3",
    "half_yearly": "2026-H1",
    "nine_monthly": "2026-9M",
    "yearly": "2026",
    "adhoc": "DX-2026-003",
}


def _unknown_regime(code: str) -> FieldError:
    return FieldError(
        "/regime",
        f"Không có chế độ báo cáo “{code}”.",
        f"There is no reporting regime “{code}”.",
        "Kiểm tra mã chế độ; GET /v1/obligations liệt kê những báo cáo cơ quan phải gửi.",
        "Check the code; GET /v1/obligations lists what the agency owes.",
    )


def _bad_period(period: str, versions: dict[int, RegimePublished] | None, why: str) -> FieldError:
    newest = versions[max(versions)] if versions else None
    of, of_en = (f" của {newest.code}", f" of {newest.code}") if newest else ("", "")
    example = _EXAMPLES[newest.frequency if newest else "monthly"]
    return FieldError(
        "/period",
        f"“{period}” không phải kỳ báo cáo{of}.",
        f"“{period}” is not a period{of_en}{f': {why}' if why else ''}.",
        f"Ghi kỳ như {example}.",
        f"Write the period like {example}.",
    )


def _no_request(period: str, regime: str) -> FieldError:
    return FieldError(
        "/period",
        f"Không có yêu cầu báo cáo “{period}” theo chế độ {regime}.",
        f"There is no request “{period}” under regime {regime}.",
        "Ghi mã của yêu cầu đột xuất hoặc chuyên đề, hoặc kỳ báo cáo đúng dạng (2026-M10).",
        "Write the id of the ad hoc request, or a period in its form (2026-M10).",
    )


def _withdrawn(period: str) -> FieldError:
    return FieldError(
        "/period",
        f"Yêu cầu {period} đã được rút; không ai còn phải trả lời.",
        f"The request {period} was withdrawn; nobody owes an answer any more.",
        "Không cần gửi.",
        "Nothing needs to be sent.",
    )


def _not_in_force(regime: str, period: str) -> FieldError:
    return FieldError(
        "/period",
        f"Chế độ {regime} không có hiệu lực trong kỳ {period}.",
        f"Regime {regime} is not in force for the period {period}.",
        "Kiểm tra kỳ báo cáo.",
        "Check the period.",
    )


def _not_submitter(agency: str, what: str) -> FieldError:
    return FieldError(
        "/regime",
        f"Cơ quan {agency} không thuộc diện gửi báo cáo {what}.",
        f"Agency {agency} is not among those who submit {what}.",
        "Kiểm tra mã chế độ và kỳ báo cáo; GET /v1/obligations liệt kê những báo cáo phải gửi.",
        "Check regime and period; GET /v1/obligations lists what is owed.",
    )


def _not_open_yet(agency: Agency) -> FieldError:
    return FieldError(
        "/period",
        f"Cơ quan {agency.code} thành lập ngày {agency.opened_on:%d/%m/%Y}, sau kỳ báo cáo này.",
        f"Agency {agency.code} opened on {agency.opened_on.isoformat()}, after this period.",
        "Kiểm tra kỳ báo cáo.",
        "Check the period.",
    )


def _too_early(period: str, window: Window[RegimePublished], accepted_from: datetime) -> FieldError:
    local = accepted_from.astimezone(LOCAL_ZONE)
    moment, moment_en = f"{local:%H:%M} ngày {local:%d/%m/%Y}", f"{local:%H:%M} on {local:%Y-%m-%d}"
    if window.issued_at is not None:
        why, why_en = f"Yêu cầu {period} chưa được ban hành", f"The request {period} is not issued yet"
    elif window.governing.early_allowed:
        why, why_en = f"Kỳ {period} chưa bắt đầu", f"The period {period} has not begun"
    else:
        why = f"Kỳ {period} đến hết ngày {window.last:%d/%m/%Y} mới chốt số liệu"
        why_en = f"The figures of {period} close at the end of {window.last.isoformat()}"
    return FieldError(
        "/period",
        f"{why}; nhận báo cáo từ {moment} (giờ Việt Nam, UTC+7).",
        f"{why_en}; reports are taken from {moment_en} (Vietnam time, UTC+7).",
        f"Gửi lại từ {moment}, khi số liệu đã đủ; hoặc kiểm tra kỳ báo cáo.",
        f"Send it again from {moment_en}, once the figures are complete; or check the period.",
    )


def _too_old(period: str) -> FieldError:
    years = BACK_DAYS // 365
    return FieldError(
        "/period",
        f"Kỳ {period} đã quá cũ: chỉ nhận báo cáo trong {years} năm sau khi chốt số liệu, từ năm {FIRST_YEAR}.",
        f"The period {period} is too old: reports come within {years} years of their cut-off, from {FIRST_YEAR} on.",
        "Kiểm tra kỳ báo cáo; số liệu cũ hơn gửi cơ quan nhận bằng đường khác.",
        "Check the period; send older figures to the receiver by other means.",
    )


def _deadline_before_issue(period: str) -> FieldError:
    return FieldError(
        "/period",
        f"Yêu cầu {period} có thời hạn trước lúc ban hành nên chưa nhận báo cáo được.",
        f"The request {period} has a deadline before it was issued, so it cannot be reported yet.",
        "Đề nghị cơ quan yêu cầu sửa thời hạn.",
        "Ask the issuing office to correct the deadline.",
    )
