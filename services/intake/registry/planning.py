"""A plan of changes to the registry: what would change, what that means, and of which state of the registry; pure.

It is applied only to that state. It holds the changed records whole, so what is applied is what was read and agreed to.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from services.intake.audit.domain import changed_fields
from services.intake.registry.gate import Proposal
from services.intake.registry.records import KINDS, Registry, content_of, kind_of
from services.intake.registry.regimes import deadline_words, override_for
from services.intake.registry.source import Source
from shared.contract import period as periods
from shared.contract.addressing import asked, closed_before, submits
from shared.contract.events import (
    AgencyRegistered,
    OfficerRegistered,
    ReferenceTablePublished,
    RegimePublished,
    RegistryEvent,
    RequestIssued,
    SharingGranted,
    WaiverGranted,
)
from shared.contract.hierarchy import ParentSince
from shared.runtime.clock import LOCAL_ZONE
from shared.runtime.english import counted
from shared.runtime.hidden_characters import shown

FORMAT = "thongsuot-registry-plan/1"
#: a nation's registry fits
MAX_PLAN_BYTES = 512 * 1024 * 1024
#: changes that a plan shows to a person; its file holds all
MAX_SHOWN = 200
MAX_VALUE_CHARACTERS = 160


class NoPlan(ValueError):
    """The file is no plan, or was changed after it was made."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes to one state of the registry, which `revision` and `registry_sha256` name together."""

    revision: int
    registry_sha256: str
    past_requests: bool
    records: tuple[dict[str, Any], ...]  # {"kind", "value"}: the changed ones, whole

    def document(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "revision": self.revision,
            "registry_sha256": self.registry_sha256,
            "past_requests": self.past_requests,
            "records_sha256": _sha256(self.records),
            "records": list(self.records),
        }

    def proposals(self, file: str) -> list[Proposal]:
        return [
            Proposal(record["kind"], record["value"], Source(file, f"/records/{place}/value"))
            for place, record in enumerate(self.records)
        ]


def state_of(stored: Iterable[RegistryEvent]) -> str:
    """Names the records that there are and their versions, so that another registry of the same revision is noticed."""
    lines = sorted(f"{record.key}\t{record.version}\n" for record in stored)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def plan_of(
    changed: Sequence[RegistryEvent], stored: Sequence[RegistryEvent], revision: int, *, past_requests: bool
) -> Plan:
    """The plan that stores these records, as they were checked against the stored ones."""
    records = tuple({"kind": kind_of(record.key), "value": content_of(record)} for record in changed)
    return Plan(revision, state_of(stored), past_requests, records)


def read_plan(content: bytes) -> Plan:
    """The plan in a file. Raises NoPlan."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise NoPlan("not JSON") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise NoPlan(f"`format` is not {FORMAT}")
    revision, state, past = (document.get(name) for name in ("revision", "registry_sha256", "past_requests"))
    records = document.get("records")
    if not (isinstance(revision, int) and isinstance(state, str) and isinstance(past, bool)):
        raise NoPlan("`revision`, `registry_sha256` or `past_requests` is missing")
    if not isinstance(records, list) or not all(map(_is_record, records)):
        raise NoPlan("`records` is not a list of records")
    if document.get("records_sha256") != _sha256(records):
        raise NoPlan("the records were changed after the plan was made")
    return Plan(revision, state, past, tuple(records))


def _is_record(record: Any) -> bool:
    if not isinstance(record, dict) or record.keys() != {"kind", "value"}:
        return False
    return isinstance(record["kind"], str) and record["kind"] in KINDS


def _sha256(records: Iterable[Any]) -> str:
    written = json.dumps(list(records), ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(written.encode()).hexdigest()


def described(changed: Sequence[RegistryEvent], stored: Sequence[RegistryEvent], today: date) -> Iterator[str]:
    """The changes as a person reads them, then what they mean, in Vietnamese and English."""
    before = {record.key: record for record in stored}
    for record in changed[:MAX_SHOWN]:
        earlier = before.get(record.key)
        yield f"{'~' if earlier else '+'} {record.key}  {_title(record)}"
        if earlier is not None:
            yield from _differences(content_of(earlier), content_of(record))
    if (more := len(changed) - MAX_SHOWN) > 0:
        yield f"… và {more} thay đổi nữa / and {more} more changes"
    meanings = list(_meanings(changed, before, today))
    if meanings:
        yield ""
        yield "Nghĩa là / What it means:"
        yield from (f"  {line}" for line in meanings[:MAX_SHOWN])
        if (more := len(meanings) - MAX_SHOWN) > 0:
            yield f"  … và {more} điều nữa / and {more} more"


def _title(record: RegistryEvent) -> str:
    match record:
        case RequestIssued():
            return record.title
        case SharingGranted():
            return f"{record.reader} ← {record.regime}"
        case WaiverGranted():
            return f"{record.regime}: {record.rule}"
        case _:
            return record.name


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    old, new = changed_fields(before, after)
    for name in new:
        yield f"    {name}: {_value((old or {}).get(name))} → {_value(new[name])}"


def _value(value: Any) -> str:
    return shown(json.dumps(value, ensure_ascii=False), MAX_VALUE_CHARACTERS)


def _meanings(changed: Sequence[RegistryEvent], before: Mapping[str, RegistryEvent], today: date) -> Iterator[str]:
    was, becomes = Registry(), Registry()
    for record in before.values():
        was.put(record)
        becomes.put(record)
    for record in changed:
        becomes.put(record)
    staffed: set[str] = set()
    for record in changed:
        match record:
            case RegimePublished():
                yield _owed(record, becomes, today)
                yield from _overridden(record, becomes, today)
            case RequestIssued():
                yield _asked(record, becomes)
            case SharingGranted():
                yield _shared(record)
            case ReferenceTablePublished():
                yield _of_table(record)
            case WaiverGranted():
                yield _waived(record)
            case AgencyRegistered():
                staffed.add(record.code)
                yield from _bound(record, was, becomes, today)
            case OfficerRegistered():
                staffed.add(record.agency)
                earlier = before.get(record.key)
                if isinstance(earlier, OfficerRegistered):
                    staffed.add(earlier.agency)
    without = sorted(code for code in staffed if code in becomes.agencies and _without_officer(code, becomes, today))
    for code in without:
        yield f"{code}: chưa có cán bộ đầu mối / no reporting officer"


def _without_officer(code: str, registry: Registry, today: date) -> bool:
    return not closed_before(registry.agencies[code], today) and not registry.designated(code)


def _owed(regime: RegimePublished, registry: Registry, today: date) -> str:
    """How many agencies owe what, from when."""
    day = max(regime.effective_from, today)
    count = sum(
        submits(agency, regime, registry.above(agency.code, day))
        and agency.opened_on <= day
        and not closed_before(agency, day)
        for agency in registry.agencies.values()
    )
    name = f"{regime.code}/{regime.regime_version}"
    rule, rule_en = (words.rstrip(".") for words in deadline_words(regime))
    if regime.frequency == "adhoc":
        return f"{name}: {count} cơ quan, {rule} / {count} agencies; {rule_en}"
    first = periods.containing(day, regime.frequency, regime.cutoff)
    return (
        f"{name}: {count} cơ quan phải nộp từ kỳ {first.id}, {rule} / "
        f"{count} agencies owe it from period {first.id} on, {rule_en}"
    )


def _overridden(regime: RegimePublished, registry: Registry, today: date) -> Iterator[str]:
    """How many agencies have another deadline, and which."""
    day = max(regime.effective_from, today)
    bound = [
        override_for(agency, regime, registry, day)
        for agency in registry.agencies.values()
        if regime.deadline.overrides
        and submits(agency, regime, registry.above(agency.code, day))
        and agency.opened_on <= day
        and not closed_before(agency, day)
    ]
    for override in range(1, len(regime.deadline.overrides) + 1):
        count, (rule, rule_en) = bound.count(override), deadline_words(regime, override)
        yield (
            f"{regime.code}/{regime.regime_version}: thời hạn riêng cho {count} cơ quan, {rule.rstrip('.')} / another "
            f"deadline for {count} agencies, {rule_en.rstrip('.')}"
        )


def _shared(sharing: SharingGranted) -> str:
    whose, whose_en = "mọi cơ quan", "all agencies"
    if sharing.below is not None:
        whose, whose_en = f"{sharing.below} và các cơ quan bên dưới", f"{sharing.below} and the agencies below it"
    elif sharing.agencies:
        whose, whose_en = f"{len(sharing.agencies)} cơ quan", f"{len(sharing.agencies)} agencies"
    since = f"{sharing.since:%d/%m/%Y}"
    until, until_en = (f" đến {sharing.until:%d/%m/%Y}", f" to {sharing.until:%d/%m/%Y}") if sharing.until else ("", "")
    return (
        f"{sharing.sharing_id}: {sharing.reader} đọc báo cáo {sharing.regime} của {whose}, từ {since}{until} / "
        f"{sharing.reader} reads reports under {sharing.regime} of {whose_en}, from {since}{until_en}"
    )


def _of_table(table: ReferenceTablePublished) -> str:
    since = f"{table.effective_from:%d/%m/%Y}"
    return (
        f"{table.code}/{table.table_version}: {len(table.rows)} dòng, dùng cho kỳ báo cáo hết từ {since} / "
        f"{counted(len(table.rows), 'row')}, for periods that end from {since} on; sha256 {table.checksum}"
    )


def _waived(waiver: WaiverGranted) -> str:
    term = f"{waiver.since:%d/%m/%Y}–{waiver.until:%d/%m/%Y}"
    return (
        f"{waiver.waiver_id}: miễn quy tắc {waiver.rule} của {waiver.regime} cho {len(waiver.agencies)} cơ quan, báo "
        f"cáo nhận trong {term} / rule {waiver.rule} of {waiver.regime} is waived for "
        f"{len(waiver.agencies)} agencies, reports received in {term}"
    )


def _asked(request: RequestIssued, registry: Registry) -> str:
    versions = registry.regimes.get(request.regime, {})
    regime = versions[max(versions)] if versions else None
    day = request.issued_at.astimezone(LOCAL_ZONE).date()
    count = sum(
        regime is not None
        and asked(agency, regime, request.agencies, registry.above(agency.code, day))
        and not closed_before(agency, day)
        for agency in registry.agencies.values()
    )
    due = _moment(request.deadline)
    if request.withdrawn_at is not None:
        return f"{request.request_id}: được rút, không ai còn phải trả lời / withdrawn, nobody owes an answer any more"
    return (
        f"{request.request_id}: {count} cơ quan phải trả lời theo {request.regime}, hạn {due} / "
        f"{count} agencies answer under {request.regime} by {due}"
    )


def _bound(agency: AgencyRegistered, was: Registry, becomes: Registry, today: date) -> Iterator[str]:
    """What a new, changed or closing agency owes."""
    now, earlier = becomes.agencies[agency.code], was.agencies.get(agency.code)
    binding = _regimes_of(now.code, becomes, today)
    if earlier is None:
        opened = f"{agency.opened_on:%d/%m/%Y}"
        yield (
            f"{agency.code}: {len(binding)} chế độ báo cáo áp dụng từ {opened} / {len(binding)} regimes bind it from "
            f"{opened} on"
        )
    else:
        yield from _owes_otherwise(agency.code, _regimes_of(earlier.code, was, today), binding)
    for later in agency.parents:
        if earlier is None or ParentSince(later.since, later.code) not in earlier.above.later:
            day = f"{later.since:%d/%m/%Y}"
            yield f"{agency.code}: từ {day} thuộc {later.code} / from {day} on below {later.code}"
            eve = later.since - timedelta(days=1)
            before, after = (_regimes_of(agency.code, becomes, on) for on in (eve, later.since))
            yield from _owes_otherwise(agency.code, before, after, f"từ {day} ", f"from {day} on ")
    if agency.closed_on is not None and (earlier is None or earlier.closed_on != agency.closed_on):
        last = f"{agency.closed_on:%d/%m/%Y}"
        if agency.heir is not None:
            yield f"{agency.code}: hết {last}, phần chưa nộp sang {agency.heir} / after {last} {agency.heir} owes it"
        elif agency.open_obligations == "withdraw":
            yield f"{agency.code}: hết {last}, phần chưa nộp được bỏ / after {last} nobody owes what is open"


def _owes_otherwise(code: str, before: set[str], after: set[str], since: str = "", since_en: str = "") -> Iterator[str]:
    for more, vi, en in ((after - before, "thêm", "now owes"), (before - after, "thôi", "no longer owes")):
        if more:
            codes = ", ".join(sorted(more))
            yield f"{code}: {since}{vi} {codes} / {since_en}{en} {codes}"


def _regimes_of(code: str, registry: Registry, day: date) -> set[str]:
    """Regimes whose newest version binds the agency as it is on the day."""
    agency, above = registry.agencies[code], registry.above(code, day)
    return {
        name
        for name, versions in registry.regimes.items()
        if versions and submits(agency, versions[max(versions)], above)
    }


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(LOCAL_ZONE):%H:%M %d/%m/%Y}"
