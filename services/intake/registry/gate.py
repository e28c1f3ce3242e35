"""The one gate into the registry: admits proposed records beside the stored ones, or returns every error; pure.

All sources of records pass this gate, so every service can handle what is admitted. `checks` holds the rules between
records; `neighbours` runs the checks that only another service can make.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from pydantic import ValidationError

from services.intake.registry import checks
from services.intake.registry.agency_codes import newer, with_newer_codes
from services.intake.registry.records import KINDS, Kind, content_of
from services.intake.registry.source import Located, Source
from shared.contract.events import RegistryEvent
from shared.contract.events.fields import AT_THE_GATE, BROKEN
from shared.runtime.file_errors import FileError
from shared.runtime.hidden_characters import shown
from shared.web.validation import field_error, pointer_of

#: limit on errors found in one load; checking stops there
MAX_ERRORS = 1_000


@dataclass(frozen=True, slots=True)
class Proposal:
    """A record as written: a JSON value (decimals as text, no floats), not yet checked."""

    kind: Kind
    value: Any
    source: Source
    broken: bool = False  # its errors are already reported; it only counts as an existing name


@dataclass(slots=True)
class Admission:
    """The gate's answer. `records`: those without errors of their own; either all are admitted or none.

    `cut`: there were too many errors, so the rest was not checked.
    """

    records: list[Located] = field(default_factory=list)
    errors: list[FileError] = field(default_factory=list)
    cut: bool = False


def admit(
    proposals: Iterable[Proposal],
    stored: Sequence[RegistryEvent],
    now: datetime,
    *,
    past_requests: bool = False,
    unread: Collection[Kind] = (),
) -> Admission:
    """Check each proposal by itself, the proposals against each other, and all against the stored records.

    now: business time. unread: kinds with unreadable records, which are already reported. past_requests: take requests
    whose deadline has passed, to carry over an old registry.
    """
    admission = Admission()
    stored_by_key = {record.key: record for record in stored}
    named: list[str] = []
    for proposal in proposals:
        before = len(admission.records)
        if not proposal.broken:
            _read(proposal, stored_by_key, admission)
        if len(admission.records) == before:
            named += _names(proposal)
        if len(admission.errors) > MAX_ERRORS:
            break
    else:
        between = checks.check(admission.records, stored, now, named=named, past_requests=past_requests, unread=unread)
        # one more than the limit shows that there are more
        admission.errors += islice(between, MAX_ERRORS + 1 - len(admission.errors))
    if len(admission.errors) > MAX_ERRORS:
        admission.cut = True
        del admission.errors[MAX_ERRORS:]
    return admission


def _names(proposal: Proposal) -> list[str]:
    """The key of a refused record, so that references to it are not reported as unknown."""
    code = proposal.value.get("code") if isinstance(proposal.value, dict) else None
    return [f"{proposal.kind}/{newer(code)}"] if isinstance(code, str) else []


def _read(proposal: Proposal, stored: Mapping[str, RegistryEvent], admission: Admission) -> None:
    """Check one record by the rules of its fields."""
    value, source = with_newer_codes(proposal.kind, proposal.value), proposal.source
    if isinstance(value, dict):
        if "version" in value:
            admission.errors.append(
                source.error(
                    "/version",
                    "`version` do hệ thống cấp.",
                    "The system assigns `version`.",
                    "Bỏ trường này (chế độ báo cáo dùng `regime_version`).",
                    "Leave it out (a regime has `regime_version`).",
                )
            )
        value = {**value, "version": 0}
    text = json.dumps(value)
    # how an escaped lone surrogate begins; most records have none and skip the walk below
    halved = islice(_surrogates(value, ""), MAX_ERRORS + 1) if "\\ud" in text else ()
    if surrogates := list(halved):
        for pointer in surrogates:
            admission.errors.append(
                source.error(
                    pointer,
                    "Có nửa ký tự (surrogate), không phải chữ.",
                    "It holds half a character (a lone surrogate), which is no text.",
                    "Gõ lại nội dung.",
                    "Type the text again.",
                )
            )
        return
    model = KINDS[proposal.kind]
    try:
        record = model.model_validate_json(text, strict=True, extra="forbid", context=AT_THE_GATE)
    except ValidationError as error:
        before = _unchanged(text, model, stored)
        if before is not None:
            admission.records.append(Located(before, source))
            return
        admission.errors += [_file_error(fault, source) for fault in error.errors()[: MAX_ERRORS + 1]]
    else:
        admission.records.append(Located(record, source))


def _unchanged(text: str, model: type[RegistryEvent], stored: Mapping[str, RegistryEvent]) -> RegistryEvent | None:
    """The equal stored record, admitted by older rules: a load does not change it, so it stays."""
    try:
        record = model.model_validate_json(text, extra="forbid")
    except ValidationError:
        return None
    before = stored.get(record.key)
    if before is None or content_of(before) != content_of(record):
        return None
    return before.model_copy(update={"version": 0})


def _file_error(fault: Mapping[str, Any], source: Source) -> FileError:
    if fault["type"] == BROKEN:
        words = fault["ctx"]
        pointer = pointer_of(fault["loc"])
        return source.error(pointer, words["message"], words["message_en"], words["fix"], words["fix_en"])
    error = field_error({**fault, "loc": ("body", *fault["loc"])})
    return source.error(error.pointer, shown(error.message, 300), shown(error.message_en, 300), error.fix, error.fix_en)


def _surrogates(value: Any, pointer: str) -> Iterable[str]:
    """The places of texts that UTF-8 cannot encode."""
    match value:
        case str():
            if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
                yield pointer
        case dict():
            for name, inner in value.items():
                yield from _surrogates(name, pointer)
                yield from _surrogates(inner, pointer + pointer_of((name,)))
        case list():
            for place, inner in enumerate(value):
                yield from _surrogates(inner, f"{pointer}/{place}")
