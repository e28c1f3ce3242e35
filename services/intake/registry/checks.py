"""The rules between records: every reference exists, and every form is consistent.

Pure. `stored` are the records in the database, `records` the proposed ones; the rules apply to both together.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from services.intake.registry import forms, hierarchy, overrides, people, reference_tables, requests, sharings, waivers
from services.intake.registry.records import Agency, Kind, Registry, content_of
from services.intake.registry.source import Located
from shared.contract import period
from shared.contract.addressing import submits
from shared.contract.events import (
    AgencyRegistered,
    OfficerRegistered,
    PersonRegistered,
    ReferenceTablePublished,
    RegimePublished,
    RegistryEvent,
    RequestIssued,
    SharingGranted,
    WaiverGranted,
)
from shared.contract.events.base import MAX_EVENT_BYTES
from shared.contract.hierarchy import NOBODY_ABOVE
from shared.contract.reporting_window import local_day
from shared.runtime.clock import LOCAL_ZONE
from shared.runtime.file_errors import FileError
from shared.runtime.hidden_characters import shown

#: QĐ 20/2020/QĐ-TTg: at most 35 characters, level 1 leftmost
_AGENCY_CODE = re.compile(r"[A-Z][0-9]{2}(\.[0-9A-Z]+)*")  # `\d` would match digits of every script
_MAX_AGENCY_CODE_CHARACTERS = 35


def check(
    records: Sequence[Located],
    stored: Iterable[RegistryEvent],
    now: datetime,
    *,
    named: Iterable[str] = (),
    past_requests: bool = False,
    unread: Collection[Kind] = (),
) -> Iterator[FileError]:
    """Yield every error between the records, and between them and the stored ones.

    now: business time. named: keys of records already refused, so that nothing is reported twice. unread: kinds with
    unreadable records: an unknown name of such a kind may be one of those.
    """
    registry, identities = Registry(), people.Identities()
    for key in named:
        _name(registry, key)
    before: dict[str, RegistryEvent] = {}
    for record in stored:
        registry.put(record)
        identities.put(record)
        before[record.key] = record
    seen: dict[str, Located] = {}
    for located in records:
        first = seen.setdefault(located.record.key, located)
        if first is not located:
            yield _twice(located, first)
        registry.put(located.record.model_copy(update={"version": 2**31}))
        identities.put(located.record)
    versions = Versions(registry)
    for located in records:
        earlier = before.get(located.record.key)
        for error in _one(located, earlier, registry, identities, versions, now, past_requests=past_requests):
            if error.missing not in unread:
                yield error


def _twice(located: Located, first: Located) -> FileError:
    where = f"{first.source.file}:{first.source.mark()[0]}"
    return located.error(
        "",
        f"“{shown(located.record.key)}” đã có ở {where}.",
        f"“{shown(located.record.key)}” is already at {where}.",
        "Chỉ giữ lại một bản.",
        "Keep one of them.",
    )


def _one(
    located: Located,
    stored: RegistryEvent | None,
    registry: Registry,
    identities: people.Identities,
    versions: Versions,
    now: datetime,
    *,
    past_requests: bool,
) -> Iterator[FileError]:
    match located.record:
        case AgencyRegistered() as agency:
            yield from _agency(located, agency, registry)
            yield from _closing(located, agency, stored, registry, now)
        case OfficerRegistered() as officer:
            yield from _officer(located, officer, registry)
            yield from people.check_identity(located, officer.officer_id, identities)
        case PersonRegistered() as person:
            yield from people.check_person(located, person, registry, identities)
        case RegimePublished() as regime:
            if isinstance(stored, RegimePublished):
                yield from _published(located, stored, regime)
            else:
                yield from _regime(located, regime, registry, versions)
        case RequestIssued() as request:
            yield from _request(located, request, registry, versions)
            yield from _addressed(located, request, registry, stored)
            yield from requests.check(located, request, registry, stored)
            if not past_requests:
                yield from _past(located, request, stored, now)
        case SharingGranted() as sharing:
            yield from sharings.check(located, sharing, registry)
        case ReferenceTablePublished() as table:
            if isinstance(stored, ReferenceTablePublished):
                yield from _published(located, stored, table)
            else:
                yield from reference_tables.check(located, table, registry)
        case WaiverGranted() as waiver:
            yield from waivers.check(located, waiver, registry, stored, local_day(now))
    yield from _size(located)


class Versions:
    """An index of regime versions, built once: comparing every version with all others costs the square."""

    def __init__(self, registry: Registry) -> None:
        self.adhoc: set[str] = set()
        #: (regime, version) -> the versions that replace it, in order
        self.replaced: dict[tuple[str, int], list[int]] = {}
        #: (regime, effective_from) -> the versions that replace none, in order
        self.beginning: dict[tuple[str, date], list[int]] = {}
        self.own_beginning: dict[tuple[str, date], list[int]] = {}
        for code, versions in registry.regimes.items():
            for number in sorted(versions):
                regime = versions[number]
                if regime.frequency == "adhoc":
                    self.adhoc.add(code)
                self.beginning.setdefault((code, regime.effective_from), []).append(number)
                if regime.replaces is not None:
                    self.replaced.setdefault((code, regime.replaces), []).append(number)
                else:
                    self.own_beginning.setdefault((code, regime.effective_from), []).append(number)

    def rival(self, regime: RegimePublished) -> int | None:
        """Another version that takes effect on the same day without replacing this or an older one."""
        day = (regime.code, regime.effective_from)
        # of a version given twice, the index holds only one
        older = [number for number in self.beginning.get(day, ())[:1] if number < regime.regime_version]
        others = [number for number in self.own_beginning.get(day, ())[:2] if number != regime.regime_version]
        return next(iter(older + others), None)


def _name(registry: Registry, key: str) -> None:
    """Add the key of a refused record, so that references to it are not reported as unknown."""
    kind, _, name = key.partition("/")
    if kind == "agency":
        registry.agencies[name] = Agency(name, "", NOBODY_ABOVE, date.min, None, (), -1)
    elif kind == "regime":
        registry.regimes.setdefault(name.partition("/")[0], {})


def _size(located: Located) -> Iterator[FileError]:
    size = len(located.record.encode())
    if size > MAX_EVENT_BYTES:
        yield located.error(
            "form" if isinstance(located.record, RegimePublished) else "",
            f"Bản ghi quá lớn để gửi đi: {size} byte, nhiều nhất {MAX_EVENT_BYTES}.",
            f"The record is too large to publish: {size} bytes, at most {MAX_EVENT_BYTES}.",
            "Rút gọn tên gọi và danh sách, hoặc chia thành nhiều chế độ báo cáo.",
            "Shorten labels and lists, or split the form into several regimes.",
        )


def _agency(located: Located, agency: AgencyRegistered, registry: Registry) -> Iterator[FileError]:
    if not _AGENCY_CODE.fullmatch(agency.code) or len(agency.code) > _MAX_AGENCY_CODE_CHARACTERS:
        yield located.error(
            "code",
            f"Mã cơ quan “{shown(agency.code)}” không đúng QĐ 20/2020/QĐ-TTg.",
            f"The agency code “{shown(agency.code)}” does not follow Decision 20/2020/QĐ-TTg.",
            "Ghi mã như H99.01 (không quá 35 ký tự).",
            "Write it like H99.01 (at most 35 characters).",
        )
    yield from hierarchy.check(located, agency, registry)
    if agency.closed_on is not None and agency.closed_on < agency.opened_on:
        yield located.error(
            "closed_on",
            "Ngày kết thúc trước ngày thành lập.",
            "The closing date is before the opening date.",
            "Sửa hai ngày.",
            "Correct the dates.",
        )
    for place, successor in enumerate(agency.successors):
        if successor not in registry.agencies or successor == agency.code:
            kind = "agency" if successor != agency.code else ""
            yield located.unknown(f"successors/{place}", "cơ quan kế thừa", "successor", successor, kind)


def _closing(
    located: Located, agency: AgencyRegistered, stored: RegistryEvent | None, registry: Registry, now: datetime
) -> Iterator[FileError]:
    """A closing says what becomes of what is open, so that nothing falls between two agencies unsaid.

    What closed before it came here has nothing open here; what is stored already was taken as it is.
    """
    if agency.closed_on is None:
        if agency.open_obligations is not None:
            yield located.error(
                "open_obligations",
                "Cơ quan không có ngày chấm dứt hoạt động (`closed_on`).",
                "The agency has no closing day (`closed_on`).",
                "Ghi `closed_on`, hoặc bỏ `open_obligations`.",
                "Give `closed_on`, or leave `open_obligations` out.",
            )
        return
    for heir in registry.inherits_from(agency.code):
        if heir.heir == agency.code and heir.closed_on is not None and heir.closed_on >= agency.closed_on:
            yield located.error(
                "closed_on",
                f"“{shown(heir.code)}”, chấm dứt hoạt động {heir.closed_on:%d/%m/%Y}, chuyển nghĩa vụ cho cơ quan này.",
                f"“{shown(heir.code)}”, which closes on {heir.closed_on:%d/%m/%Y}, hands its duties on to this agency.",
                "Ghi ngày sau ngày đó, hoặc cho cơ quan kia một cơ quan kế thừa khác.",
                "Close it later, or give the other one another successor.",
            )
    before = stored if isinstance(stored, AgencyRegistered) else None
    if agency.open_obligations is None:
        known = before.closed_on == agency.closed_on if before else agency.closed_on < now.astimezone(LOCAL_ZONE).date()
        if not known:
            yield located.error(
                "closed_on",
                "Chưa ghi báo cáo đang phải nộp sẽ chuyển cho ai hay thôi không phải nộp nữa.",
                "It does not say what becomes of the reports that are still owed then.",
                "Ghi `open_obligations: transfer` và `successors`, hoặc `withdraw` và `closing_reason`.",
                "Give `open_obligations: transfer` and `successors`, or `withdraw` and `closing_reason`.",
            )
        return
    if agency.open_obligations == "withdraw":
        if not agency.closing_reason:
            yield located.error(
                "closing_reason",
                "Thiếu lý do thôi không phải nộp những báo cáo đang mở.",
                "The reason is missing for which nobody owes what is open.",
                "Ghi `closing_reason`, hoặc `open_obligations: transfer`.",
                "Give `closing_reason`, or `open_obligations: transfer`.",
            )
        return
    if not agency.successors:
        yield located.error(
            "successors",
            "Không có cơ quan kế thừa để chuyển nghĩa vụ.",
            "There is no successor to hand the duties on to.",
            "Ghi `successors`; cơ quan đầu tiên nhận nghĩa vụ.",
            "Give `successors`; the first of them owes what is open.",
        )
        return
    first = registry.agencies.get(agency.successors[0])
    day_after = agency.closed_on + timedelta(days=1)
    if first is None:
        return  # named already
    yield from _closed(located, "successors/0", first, day_after)
    if first.opened_on > day_after:
        yield located.error(
            "successors/0",
            f"“{shown(first.code)}” đến {first.opened_on:%d/%m/%Y} mới thành lập, sau ngày chuyển nghĩa vụ.",
            f"“{shown(first.code)}” opens on {first.opened_on:%d/%m/%Y}, after it would take the duties over.",
            "Ghi trước một cơ quan đã hoạt động khi đó, hoặc sửa ngày.",
            "Put an agency first that exists by then, or correct the days.",
        )


def _officer(located: Located, officer: OfficerRegistered, registry: Registry) -> Iterator[FileError]:
    if officer.agency not in registry.agencies:
        yield located.unknown("agency", "cơ quan", "agency", officer.agency, "agency")
    for place, regime in enumerate(officer.regimes):
        if regime not in registry.regimes:
            yield located.unknown(f"regimes/{place}", "chế độ báo cáo", "regime", regime, "regime")
    if officer.active and not officer.email:
        yield located.error(
            "email",
            "Cán bộ đang làm nhiệm vụ cần địa chỉ thư.",
            "An officer on duty needs a mail address.",
            "Ghi một địa chỉ như canbo@example.vn.",
            "Write one address like officer@example.vn.",
        )


def _published(
    located: Located,
    published: RegimePublished | ReferenceTablePublished,
    given: RegimePublished | ReferenceTablePublished,
) -> Iterator[FileError]:
    changed = list(_differences(content_of(published), content_of(given), ""))
    if not changed:
        return
    named = ", ".join(changed[:5]) + (", …" if len(changed) > 5 else "")
    if isinstance(given, ReferenceTablePublished):
        yield reference_tables.fixed(located, given, changed[0], named)
        return
    regime = given
    version, following = regime.regime_version, regime.regime_version + 1
    yield located.error(
        changed[0],
        f"Phiên bản {version} của {regime.code} đã ban hành, không sửa được ({named}).",
        f"Version {version} of {regime.code} is published and cannot change ({named}).",
        f"Trả lại như cũ, rồi ghi thay đổi thành phiên bản mới: regime_version: {following}, với effective_from mới; "
        f"nếu phiên bản {version} sai thì thêm `replaces: {version}` và giữ effective_from.",
        f"Restore it and write the change as a new version: regime_version: {following}, a new effective_from; "
        f"if version {version} is wrong, add `replaces: {version}` and keep effective_from.",
    )


def _differences(old: Any, new: Any, at: str) -> Iterator[str]:
    """Paths of the differences: `name`, `form/figures/3/label`."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in {**new, **old}:
            yield from _differences(old.get(name), new.get(name), f"{at}/{name}" if at else str(name))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for place, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _differences(before, after, f"{at}/{place}")
    elif old != new:
        yield at


def _regime(located: Located, regime: RegimePublished, registry: Registry, versions: Versions) -> Iterator[FileError]:
    yield from _replaces(located, regime, registry, versions)
    if regime.receiver not in registry.agencies:
        yield located.unknown("receiver", "cơ quan nhận", "receiver", regime.receiver, "agency")
    else:
        yield from _closed(located, "receiver", registry.agencies[regime.receiver], regime.effective_from)
    for place, agency in enumerate(regime.submitters):
        if agency not in registry.agencies:
            yield located.unknown(f"submitters/{place}", "cơ quan gửi", "submitter", agency, "agency")
        else:
            yield from _closed(located, f"submitters/{place}", registry.agencies[agency], regime.effective_from)
    for place, code in enumerate(regime.submitters_except):
        if (excepted := registry.agencies.get(code)) is None:
            yield located.unknown(f"submitters_except/{place}", "cơ quan ngoại lệ", "excepted agency", code, "agency")
        elif code in regime.submitters or (excepted.kind and not _grouped(excepted, regime, registry)):
            yield located.error(
                f"submitters_except/{place}",
                f"“{shown(code)}” không phải ngoại lệ: có trong `submitters`, hoặc không thuộc `submitter_kinds` và "
                "`submitter_parents`.",
                f"“{shown(code)}” is no exception: `submitters` names it, or it is of none of `submitter_kinds` and "
                "`submitter_parents`.",
                "Bỏ cơ quan này khỏi một trong hai.",
                "Remove it from one of them.",
            )
    for place, code in enumerate(regime.submitter_parents):
        if (parent := registry.agencies.get(code)) is None:
            yield located.unknown(f"submitter_parents/{place}", "cơ quan cấp trên", "parent agency", code, "agency")
        else:
            yield from _closed(located, f"submitter_parents/{place}", parent, regime.effective_from)
            yield from _nobody_below(located, place, code, regime, registry)
    if not regime.submitters and not regime.submitter_kinds and not regime.submitter_parents:
        yield located.error(
            "submitter_kinds",
            "Không có cơ quan nào phải gửi.",
            "Nobody owes this report.",
            "Ghi `submitter_kinds`, `submitter_parents` hoặc `submitters`.",
            "Give `submitter_kinds`, `submitter_parents` or `submitters`.",
        )
    if regime.effective_to is not None and regime.effective_to < regime.effective_from:
        yield located.error(
            "effective_to",
            "Hết hiệu lực trước khi có hiệu lực.",
            "The last day is before the first.",
            "Sửa hai ngày.",
            "Correct the dates.",
        )
    if regime.review_by is not None and regime.review_by <= regime.effective_from:
        yield located.error(
            "review_by",
            "Hạn rà soát không sau ngày có hiệu lực.",
            "The regime is to be reviewed before it takes effect.",
            "Sửa `review_by`.",
            "Correct `review_by`.",
        )
    grace, lock = regime.grace_working_days, regime.lock_after_working_days
    if grace is not None and lock is not None and lock < grace:
        yield located.error(
            "grace_working_days",
            f"Thời gian ân hạn ({grace} ngày làm việc) dài hơn thời gian đến khi khóa ({lock} ngày làm việc): "
            "báo cáo trong ân hạn không được nhận nữa.",
            f"The grace of {grace} working days ends after the lock, {lock} working days after the deadline: "
            "reports within it would be refused.",
            "Giảm `grace_working_days` hoặc tăng `lock_after_working_days`.",
            "Lower `grace_working_days` or raise `lock_after_working_days`.",
        )
    if (regime.frequency == "adhoc") != (regime.deadline.rule == "on_request"):
        yield located.error(
            "deadline/rule",
            "`on_request` dùng cho và chỉ cho báo cáo đột xuất, chuyên đề (adhoc).",
            "`on_request` is for ad hoc regimes, which allow no other rule.",
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
            "`weekday` is for weekly regimes, `day_of_month` for periods of months.",
            "Sửa `deadline.rule`.",
            "Correct `deadline.rule`.",
        )
    yield from overrides.check(located, regime, registry)
    yield from forms.check(located, regime)


def _grouped(agency: Agency, regime: RegimePublished, registry: Registry) -> bool:
    """Whether the regime asks the agency by kind or parent on some day or other, but for the exceptions."""
    everybody = regime.model_copy(update={"submitters": (), "submitters_except": ()})
    return submits(agency, everybody, registry.ever_above(agency.code))


def _nobody_below(
    located: Located, place: int, parent: str, regime: RegimePublished, registry: Registry
) -> Iterator[FileError]:
    """An error for a parent that binds nobody, which is a slip: its code, or the kinds beside it."""
    of_it = regime.model_copy(update={"submitters": (), "submitters_except": (), "submitter_parents": (parent,)})
    if not any(submits(agency, of_it, registry.ever_above(agency.code)) for agency in registry.agencies.values()):
        yield located.error(
            f"submitter_parents/{place}",
            f"Không có cơ quan nào thuộc “{shown(parent)}”, hoặc không cơ quan nào trong đó thuộc `submitter_kinds`.",
            f"No agency is below “{shown(parent)}”, or none below it is of one of `submitter_kinds`.",
            "Sửa mã, hoặc ghi chính cơ quan đó vào `submitters`.",
            "Correct the code, or name that agency itself in `submitters`.",
        )


def _replaces(located: Located, regime: RegimePublished, registry: Registry, versions: Versions) -> Iterator[FileError]:
    """Check a version that replaces an older one: it has the same periods and takes effect on the same day."""
    if regime.replaces is None:
        if regime.replaces_reason:
            yield located.error(
                "replaces_reason",
                "Có lý do thay nhưng không ghi thay phiên bản nào.",
                "A reason for a replacement is given, but not the version it replaces.",
                "Ghi `replaces`, hoặc bỏ `replaces_reason`.",
                "Give `replaces`, or leave `replaces_reason` out.",
            )
        if (rival := versions.rival(regime)) is not None:
            yield located.error(
                "effective_from",
                f"Phiên bản {rival} của {regime.code} cũng có hiệu lực từ ngày này.",
                f"Version {rival} of {regime.code} takes effect on the same day.",
                "Ghi ngày khác; nếu muốn thay phiên bản sai, ghi `replaces` và `replaces_reason`.",
                "Give another day; to replace a wrong version, give `replaces` and `replaces_reason`.",
            )
        return
    wrong = registry.regimes[regime.code].get(regime.replaces)
    if wrong is None or regime.replaces >= regime.regime_version:
        yield located.error(
            "replaces",
            f"{regime.code} không có phiên bản {regime.replaces} cũ hơn để thay.",
            f"{regime.code} has no older version {regime.replaces} to replace.",
            "Ghi số của phiên bản đã ban hành bị thay.",
            "Give the number of the published version to replace.",
        )
        return
    if len(others := versions.replaced.get((regime.code, regime.replaces), [])) > 1:
        listed = ", ".join(map(str, others[:5])) + (", …" if len(others) > 5 else "")
        newest = others[-1] if others[-1] != regime.regime_version else others[-2]
        yield located.error(
            "replaces",
            f"Phiên bản {regime.replaces} của {regime.code} bị thay nhiều lần ({listed}).",
            f"Version {regime.replaces} of {regime.code} is replaced twice ({listed}).",
            f"Thay phiên bản mới nhất: replaces: {newest}.",
            f"Replace the newest of them: replaces: {newest}.",
        )
    if not regime.replaces_reason:
        yield located.error(
            "replaces_reason",
            "Thiếu lý do thay phiên bản.",
            "The reason for the replacement is missing.",
            "Ghi `replaces_reason`.",
            "Give `replaces_reason`.",
        )
    for field in ("frequency", "effective_from", "cutoff"):
        if getattr(regime, field) != getattr(wrong, field):
            yield located.error(
                field,
                f"Phiên bản thay phải giữ `{field}` của phiên bản {regime.replaces}: kỳ báo cáo không được đổi.",
                f"A replacement must keep `{field}` of version {regime.replaces}: the periods cannot change.",
                "Ghi như cũ; muốn đổi kỳ báo cáo thì ban hành phiên bản mới, effective_from mới, không có `replaces`.",
                "Restore it; to change the periods, add a version with a new effective_from, without `replaces`.",
            )


def _past(located: Located, request: RequestIssued, stored: RegistryEvent | None, now: datetime) -> Iterator[FileError]:
    """An error for whom the request asks after its deadline: nobody is late by what he could not know of in time.

    One that is stored with this deadline may be corrected, but asks nobody anew.
    """
    if request.deadline > now:
        return
    if not isinstance(stored, RequestIssued) or stored.deadline != request.deadline:
        yield located.error(
            "deadline",
            "Thời hạn của yêu cầu đã qua, không ai còn kịp gửi.",
            "The request's deadline has passed, so nobody can meet it.",
            "Ghi thời hạn sau hiện tại; nếu chuyển danh mục cũ sang, nạp với --past-requests.",
            "Give a later deadline; to carry over an old registry, load it with --past-requests.",
        )
        return
    field = next((name for name in ("regime", "issued_at") if getattr(request, name) != getattr(stored, name)), "")
    if not field and stored.agencies:
        added = [place for place, code in enumerate(request.agencies) if code not in stored.agencies]
        field = f"agencies/{added[0]}" if added else "" if request.agencies else "agencies"
    if field:
        yield located.error(
            field,
            "Thời hạn của yêu cầu đã qua, không yêu cầu thêm ai được nữa.",
            "The request's deadline has passed, so nobody more can be asked by it.",
            "Trả lại như cũ; cơ quan khác cần báo cáo thì lập yêu cầu mới, hoặc gia hạn yêu cầu này (`deadline`).",
            "Restore it; ask others by a new request, or give this one a later `deadline`.",
        )


def _closed(located: Located, field: str, agency: Agency, needed_on: date) -> Iterator[FileError]:
    """An error for an agency that closes before the record needs it."""
    if agency.closed_on is None or agency.closed_on >= needed_on:
        return
    closed, needed = f"{agency.closed_on:%d/%m/%Y}", f"{needed_on:%d/%m/%Y}"
    heirs = ", ".join(map(shown, agency.successors[:5]))
    yield located.error(
        field,
        f"Cơ quan “{shown(agency.code)}” chấm dứt hoạt động ngày {closed}, trước ngày {needed}.",
        f"The agency “{shown(agency.code)}” closes on {closed}, before {needed}.",
        f"Ghi cơ quan kế thừa ({heirs}), hoặc bỏ cơ quan này." if heirs else "Bỏ cơ quan này, hoặc sửa ngày.",
        f"Name its successors ({heirs}), or remove it." if heirs else "Remove it, or correct the day.",
    )


def _addressed(
    located: Located, request: RequestIssued, registry: Registry, stored: RegistryEvent | None
) -> Iterator[FileError]:
    """Check that each named agency exists from the day of the request to its deadline.

    Scoring would otherwise silently open no obligation for it. Stored requests were right when they were issued.
    """
    issued_on, due_on = (moment.astimezone(LOCAL_ZONE).date() for moment in (request.issued_at, request.deadline))
    named_before: set[str] = set()
    if isinstance(stored, RequestIssued) and stored.deadline == request.deadline:
        named_before.update(stored.agencies)
    for place, code in enumerate(request.agencies):
        agency = registry.agencies.get(code)
        if agency is None or code in named_before:
            continue
        yield from _closed(located, f"agencies/{place}", agency, due_on)
        if agency.opened_on > issued_on:
            yield located.error(
                f"agencies/{place}",
                f"Cơ quan “{shown(code)}” đến ngày {agency.opened_on:%d/%m/%Y} mới thành lập, sau ngày yêu cầu.",
                f"The agency “{shown(code)}” opens on {agency.opened_on:%d/%m/%Y}, after the request.",
                "Bỏ cơ quan này, hoặc sửa `issued_at`.",
                "Remove it, or correct `issued_at`.",
            )


def _request(located: Located, request: RequestIssued, registry: Registry, every: Versions) -> Iterator[FileError]:
    try:
        good = period.parse(request.request_id).frequency == "adhoc"
    except period.PeriodError:
        good = False
    if not good:
        yield located.error(
            "request_id",
            f"“{shown(request.request_id)}” không dùng được làm kỳ báo cáo.",
            f"“{shown(request.request_id)}” is no valid period.",
            "Ghi như DX-2026-003: chữ in hoa, số, gạch ngang.",
            "Write it like DX-2026-003: capital letters, digits, hyphens.",
        )
    versions = registry.regimes.get(request.regime)
    if versions is None:
        yield located.unknown("regime", "chế độ báo cáo", "regime", request.regime, "regime")
    elif versions and request.regime not in every.adhoc:
        yield located.error(
            "regime",
            f"{shown(request.regime)} không phải chế độ báo cáo đột xuất, chuyên đề.",
            f"{shown(request.regime)} is not an ad hoc regime.",
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
    for place, agency in enumerate(request.agencies):
        if agency not in registry.agencies:
            yield located.unknown(f"agencies/{place}", "cơ quan", "agency", agency, "agency")
