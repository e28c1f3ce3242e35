"""What must hold between records before any of them is stored: each thing named exists, and each form adds up.

Pure: `stored` is what the database holds, `records` what the files say; together they are the registry to be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from services.intake.limits import MAX_CODE_CHARACTERS, is_code
from services.intake.registry.files import FileError, Located
from services.intake.registry.records import Registry, content_of
from shared import period
from shared.events import AgencyRegistered, OfficerRegistered, RegimePublished, RegistryEvent, RequestIssued
from shared.security import header_safe

#: QĐ 20/2020/QĐ-TTg: at most 35 characters, level 1 leftmost
_AGENCY_CODE = re.compile(r"[A-Z]\d{2}(\.[0-9A-Z]+)*")
_MAX_AGENCY_CODE_CHARACTERS = 35
_EMAIL = re.compile(r"[^@\s<>,;:\"()\[\]\\]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)+")


def check(records: Sequence[Located], stored: Iterable[RegistryEvent]) -> list[FileError]:
    """Every error between the records, and between them and what is stored."""
    registry = Registry()
    published: dict[str, RegimePublished] = {}
    for record in stored:
        registry.put(record)
        if isinstance(record, RegimePublished):
            published[record.key] = record
    errors: list[FileError] = []
    seen: dict[str, Located] = {}
    for located in records:
        first = seen.setdefault(located.record.key, located)
        if first is not located:
            where = f"{first.file}:{first.line}"
            errors.append(
                located.error(
                    "",
                    f"“{located.record.key}” đã có ở {where}.",
                    f"“{located.record.key}” is already at {where}.",
                    "Chỉ giữ lại một bản.",
                    "Keep one of them.",
                )
            )
        registry.put(located.record.model_copy(update={"version": 2**31}))
    for located in records:
        match located.record:
            case AgencyRegistered():
                errors.extend(_agency(located, located.record, registry))
            case OfficerRegistered():
                errors.extend(_officer(located, located.record, registry))
            case RegimePublished():
                errors.extend(_regime(located, located.record, registry, published.get(located.record.key)))
            case RequestIssued():
                errors.extend(_request(located, located.record, registry))
    return errors


def _unknown(located: Located, field: str, what: str, what_en: str, name: str) -> FileError:
    return located.error(
        field,
        f"Không có {what} “{name}”.",
        f"There is no {what_en} “{name}”.",
        "Sửa mã, hoặc thêm vào danh mục.",
        "Correct the code, or add it to the registry.",
    )


def _code(located: Located, field: str, code: str) -> Iterator[FileError]:
    if not is_code(code):
        yield located.error(
            field,
            f"Mã “{code}” không hợp lệ.",
            f"The code “{code}” is not valid.",
            f"Dùng 1–{MAX_CODE_CHARACTERS} ký tự: chữ không dấu, số, dấu chấm, gạch ngang, gạch dưới.",
            f"Use 1–{MAX_CODE_CHARACTERS} of ASCII letters, digits, dot, hyphen, underscore.",
        )


def _agency(located: Located, agency: AgencyRegistered, registry: Registry) -> Iterator[FileError]:
    if not _AGENCY_CODE.fullmatch(agency.code) or len(agency.code) > _MAX_AGENCY_CODE_CHARACTERS:
        yield located.error(
            "code",
            f"Mã cơ quan “{agency.code}” không đúng QĐ 20/2020/QĐ-TTg.",
            f"The agency code “{agency.code}” is not one of Decision 20/2020/QĐ-TTg.",
            "Ghi mã như H99.01 (không quá 35 ký tự).",
            "Write it like H99.01 (at most 35 characters).",
        )
    if agency.parent is not None and agency.parent not in registry.agencies:
        yield _unknown(located, "parent", "cơ quan cấp trên", "parent agency", agency.parent)
    ancestors = {agency.code}
    above = agency.parent
    while above is not None and above in registry.agencies:
        if above in ancestors:
            yield located.error(
                "parent",
                "Quan hệ cấp trên bị vòng.",
                "The parents go round in a circle.",
                "Sửa `parent`.",
                "Correct `parent`.",
            )
            break
        ancestors.add(above)
        above = registry.agencies[above].parent
    if agency.closed_on is not None and agency.closed_on < agency.opened_on:
        yield located.error(
            "closed_on",
            "Ngày kết thúc trước ngày thành lập.",
            "It closes before it opens.",
            "Sửa hai ngày.",
            "Correct the dates.",
        )
    for successor in agency.successors:
        if successor not in registry.agencies or successor == agency.code:
            yield _unknown(located, "successors", "cơ quan kế thừa", "successor", successor)


def _officer(located: Located, officer: OfficerRegistered, registry: Registry) -> Iterator[FileError]:
    yield from _code(located, "officer_id", officer.officer_id)
    if officer.agency not in registry.agencies:
        yield _unknown(located, "agency", "cơ quan", "agency", officer.agency)
    try:
        header_safe(officer.email)
        header_safe(officer.name)
        header_safe(officer.title)
    except ValueError:
        yield located.error(
            "name",
            "Tên, chức danh hoặc thư điện tử có ký tự điều khiển.",
            "Name, title or e-mail has a control character.",
            "Bỏ ký tự đó.",
            "Remove it.",
        )
    if not _EMAIL.fullmatch(officer.email) or len(officer.email) > 254:
        yield located.error(
            "email",
            f"“{officer.email}” không phải địa chỉ thư.",
            f"“{officer.email}” is not a mail address.",
            "Ghi như canbo@example.vn.",
            "Write it like officer@example.vn.",
        )
    for regime in officer.regimes:
        if regime not in registry.regimes:
            yield _unknown(located, "regimes", "chế độ báo cáo", "regime", regime)


def _regime(
    located: Located, regime: RegimePublished, registry: Registry, published: RegimePublished | None
) -> Iterator[FileError]:
    yield from _code(located, "code", regime.code)
    if published is not None and content_of(published) != content_of(regime):
        changed = [name for name, value in content_of(regime).items() if content_of(published).get(name) != value]
        yield located.error(
            changed[0],
            f"Phiên bản {regime.regime_version} của {regime.code} đã ban hành, không sửa được ({', '.join(changed)}).",
            f"Version {regime.regime_version} of {regime.code} is published and cannot change ({', '.join(changed)}).",
            f"Ghi thay đổi thành phiên bản mới: regime_version: {regime.regime_version + 1}, với effective_from mới.",
            f"Write the change as a new version: regime_version: {regime.regime_version + 1}, with its effective_from.",
        )
    if regime.regime_version < 1:
        yield located.error(
            "regime_version", "Phiên bản bắt đầu từ 1.", "Versions begin with 1.", "Ghi 1, 2, …", "Write 1, 2, …"
        )
    if regime.receiver not in registry.agencies:
        yield _unknown(located, "receiver", "cơ quan nhận", "receiver", regime.receiver)
    for agency in regime.submitters:
        if agency not in registry.agencies:
            yield _unknown(located, "submitters", "cơ quan gửi", "submitter", agency)
    if not regime.submitters and not regime.submitter_kinds:
        yield located.error(
            "submitter_kinds",
            "Không có cơ quan nào phải gửi.",
            "Nobody owes this report.",
            "Ghi `submitter_kinds` hoặc `submitters`.",
            "Give `submitter_kinds` or `submitters`.",
        )
    if regime.effective_to is not None and regime.effective_to < regime.effective_from:
        yield located.error(
            "effective_to",
            "Hết hiệu lực trước khi có hiệu lực.",
            "It ends before it begins.",
            "Sửa hai ngày.",
            "Correct the dates.",
        )
    if (regime.frequency == "adhoc") != (regime.deadline.rule == "on_request"):
        yield located.error(
            "deadline/rule",
            "`on_request` dùng cho và chỉ cho báo cáo đột xuất, chuyên đề (adhoc).",
            "`on_request` is for ad hoc regimes, and they have no other.",
            "Sửa `frequency` hoặc `deadline.rule`.",
            "Correct `frequency` or `deadline.rule`.",
        )
    if (regime.deadline.rule == "weekday") != (regime.frequency == "weekly") and regime.deadline.rule in (
        "weekday",
        "day_of_month",
    ):
        yield located.error(
            "deadline/rule",
            "`weekday` dùng cho báo cáo tuần, `day_of_month` cho các kỳ theo tháng.",
            "`weekday` is for weekly regimes, `day_of_month` for those counted in months.",
            "Sửa `deadline.rule`.",
            "Correct `deadline.rule`.",
        )
    yield from _form(located, regime)


def _form(located: Located, regime: RegimePublished) -> Iterator[FileError]:
    figures = [figure.code for figure in regime.form.figures]
    narratives = [narrative.code for narrative in regime.form.narratives]
    sums = [rule.code for rule in regime.form.sums]
    for field, codes in (("figures", figures), ("narratives", narratives), ("sums", sums)):
        for code in codes:
            yield from _code(located, f"form/{field}", code)
        for code in sorted({code for code in codes if codes.count(code) > 1}):
            yield located.error(
                f"form/{field}",
                f"Mã “{code}” lặp lại.",
                f"The code “{code}” is repeated.",
                "Đặt mã khác.",
                "Give another code.",
            )
    for place, figure in enumerate(regime.form.figures):
        if figure.minimum is not None and figure.maximum is not None and figure.minimum > figure.maximum:
            yield located.error(
                f"form/figures/{place}",
                f"“{figure.code}”: nhỏ nhất lớn hơn lớn nhất.",
                f"“{figure.code}”: the minimum is over the maximum.",
                "Sửa hai giới hạn.",
                "Correct the bounds.",
            )
    for place, narrative in enumerate(regime.form.narratives):
        if not 0 <= narrative.min_characters <= narrative.max_characters <= 20_000:
            yield located.error(
                f"form/narratives/{place}",
                f"“{narrative.code}”: độ dài phải là 0 ≤ min ≤ max ≤ 20000.",
                f"“{narrative.code}”: lengths must be 0 ≤ min ≤ max ≤ 20000.",
                "Sửa độ dài.",
                "Correct the lengths.",
            )
    for place, rule in enumerate(regime.form.sums):
        for code in (rule.total, *rule.terms):
            if code not in figures:
                yield _unknown(located, f"form/sums/{place}", "chỉ tiêu", "figure", code)


def _request(located: Located, request: RequestIssued, registry: Registry) -> Iterator[FileError]:
    try:
        good = period.parse(request.request_id).frequency == "adhoc"
    except period.PeriodError:
        good = False
    if not good:
        yield located.error(
            "request_id",
            f"“{request.request_id}” không dùng được làm kỳ báo cáo.",
            f"“{request.request_id}” cannot be a period.",
            "Ghi như DX-2026-003: chữ in hoa, số, gạch ngang.",
            "Write it like DX-2026-003: capital letters, digits, hyphens.",
        )
    versions = registry.regimes.get(request.regime)
    if not versions:
        yield _unknown(located, "regime", "chế độ báo cáo", "regime", request.regime)
    elif not any(version.frequency == "adhoc" for version in versions.values()):
        yield located.error(
            "regime",
            f"{request.regime} không phải chế độ báo cáo đột xuất, chuyên đề.",
            f"{request.regime} is not an ad hoc regime.",
            "Chọn chế độ có frequency: adhoc.",
            "Choose a regime with frequency: adhoc.",
        )
    if request.deadline <= request.issued_at:
        yield located.error(
            "deadline",
            "Thời hạn trước thời điểm yêu cầu.",
            "The deadline is before the request.",
            "Sửa hai thời điểm.",
            "Correct the moments.",
        )
    for agency in request.agencies:
        if agency not in registry.agencies:
            yield _unknown(located, "agencies", "cơ quan", "agency", agency)
