"""The registry's one gate: proposed records and the registry as it is become accepted records, or all that is wrong.

Pure, and the same for files and for whatever else proposes records: what is admitted here, every service can live
with. `checks` holds what must be so between records; what only a neighbour can say is asked of it (`neighbours`).
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
from services.intake.registry.records import KINDS, Kind, content_of
from services.intake.registry.source import FileError, Located, Source
from shared.contract.events import RegistryEvent
from shared.contract.events.fields import AT_THE_GATE, BROKEN, shown
from shared.web.validation import field_error, pointer_of

#: errors found in one load; then nothing more is looked at
MAX_ERRORS = 1_000


@dataclass(frozen=True, slots=True)
class Proposal:
    """A record as it was written: a JSON value (decimals as text, no floats), not yet looked at."""

    kind: Kind
    value: Any
    source: Source
    broken: bool = False  # its errors are reported already; it counts only as a name that is there


@dataclass(slots=True)
class Admission:
    """What the gate says. `records` are those without errors of their own; admitted is all, or nothing.

    `cut`: there were too many errors, and what came behind them was not looked at.
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
    """Every error of the proposals, of themselves, between them and with what is stored.

    now: business time. unread: kinds of which not every record could be read, which is reported already.
    past_requests: requests whose deadline is past are taken, for a registry that is carried over.
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
        # one more than is reported: then it is certain that there are more
        admission.errors += islice(between, MAX_ERRORS + 1 - len(admission.errors))
    if len(admission.errors) > MAX_ERRORS:
        admission.cut = True
        del admission.errors[MAX_ERRORS:]
    return admission


def _names(proposal: Proposal) -> list[str]:
    """The key that a refused record would have had, as far as others may name it."""
    code = proposal.value.get("code") if isinstance(proposal.value, dict) else None
    return [f"{proposal.kind}/{code}"] if isinstance(code, str) else []


def _read(proposal: Proposal, stored: Mapping[str, RegistryEvent], admission: Admission) -> None:
    """One record by the rules of its fields."""
    value, source = proposal.value, proposal.source
    if isinstance(value, dict):
        if "version" in value:
            admission.errors.append(
                source.error(
                    "/version",
                    "`version` do hệ thống cấp.",
                    "`version` is given by the system.",
                    "Bỏ trường này (chế độ báo cáo dùng `regime_version`).",
                    "Leave it out (a regime has `regime_version`).",
                )
            )
        value = {**value, "version": 0}
    text = json.dumps(value)
    # an escape of half a character begins so; most records hold none, and are not walked through
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
    """The record that is stored like this since older rules: nothing about it changes, so it stays as it is."""
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
    """The places of texts that UTF-8 cannot hold."""
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
