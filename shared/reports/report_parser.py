"""A report's body is read without losing a digit: figures are kept as the text that was sent.

A good body takes one msgspec pass. Anything else is read again slowly, and every error in it is reported at once with
its JSON Pointer (RFC 6901). Both parsers agree on every body that the fast one accepts. Text is read as stream-safe
(UAX #15): whoever normalises it later does so at a cost linear in its length. The bytes that are stored stay as sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import MutableMapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from shared.contract.events.submissions import Declines
from shared.contract.text import may_hold_long_runs, stream_safe
from shared.reports import body_tables
from shared.reports.body_errors import Errors
from shared.reports.body_json import exact_text_of, is_literal, level_of, members_of, text_of, whole
from shared.reports.canonical import content_of
from shared.reports.classified import is_classified
from shared.reports.limits import (
    MAX_CELLS,
    MAX_CODE_CHARACTERS,
    MAX_ERRORS,
    MAX_FIGURE_CHARACTERS,
    MAX_FIGURES,
    MAX_NARRATIVE_CHARACTERS,
    MAX_NARRATIVES,
    MAX_NIL_REASON_CHARACTERS,
    MAX_TABLE_ROWS,
    MAX_TABLES,
    are_codes,
    is_code,
)
from shared.web.errors import FieldError


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    regime: str
    period: str
    officer: str
    nil: bool | UnsetType = UNSET
    nil_reason: str | UnsetType = UNSET
    figures: dict[str, Any] | UnsetType = UNSET
    narratives: dict[str, str] | UnsetType = UNSET
    tables: dict[str, list[dict[str, Any]]] | UnsetType = UNSET
    classification: str | UnsetType | None = UNSET
    classified: bool | UnsetType | None = UNSET


class _Members(msgspec.Struct):
    """All members, not looked into. What few reports have, the fast pass does not know: it leaves them to the other."""

    regime: Raw | UnsetType = UNSET
    period: Raw | UnsetType = UNSET
    officer: Raw | UnsetType = UNSET
    nil: Raw | UnsetType = UNSET
    nil_reason: Raw | UnsetType = UNSET
    figures: Raw | UnsetType = UNSET
    narratives: Raw | UnsetType = UNSET
    tables: Raw | UnsetType = UNSET
    classification: Raw | UnsetType = UNSET
    classified: Raw | UnsetType = UNSET
    declines: Raw | UnsetType = UNSET
    refer_to: Raw | UnsetType = UNSET


_FIELDS = frozenset(_Members.__struct_fields__)
_decoder = msgspec.json.Decoder(_Body, float_hook=str)
_members = msgspec.json.Decoder(_Members)
_MANY = 1_000
_MOST_OBJECTS = MAX_TABLE_ROWS + 4
_MOST_MEMBERS = MAX_CELLS + MAX_TABLES + MAX_FIGURES + MAX_NARRATIVES + len(_FIELDS)
_LARGE_BYTES = 16_384


class Report(msgspec.Struct, frozen=True):
    """What an agency sent, read and within limits; nothing is known yet of its regime, period or officer."""

    regime: str
    period: str
    officer: str
    nil: bool
    figures: dict[str, str | None]
    narratives: dict[str, str]
    nil_reason: str = ""  # why there is nothing to report; given with `nil` and only then
    #: of an information request, with `nil`: that it is not answered, or another agency is to be asked
    declines: Declines | Literal[""] = ""
    refer_to: str = ""  # the agency to be asked instead; given with a referral and only then
    tables: dict[str, list[dict[str, str | None]]] = {}

    def content_sha256(self) -> bytes:
        """Names the content, whatever the order of keys or the white space: equal reports have equal names."""
        content = content_of(
            regime=self.regime,
            period=self.period,
            officer=self.officer,
            nil=self.nil,
            figures=self.figures,
            narratives=self.narratives,
            nil_reason=self.nil_reason,
            declines=self.declines,
            refer_to=self.refer_to,
            tables=self.tables,
        )
        return hashlib.sha256(content).digest()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A body that is not a report, with every error found in it.

    `regime`, `period`, `officer` are what it says of them as far as that can be read, else empty: so that they can be
    judged, and every error is reported at once.
    """

    errors: tuple[FieldError, ...]
    malformed: bool = False  # not even a JSON object
    truncated: bool = False  # there may be more errors
    regime: str = ""
    period: str = ""
    officer: str = ""
    declines: Declines | Literal[""] = ""
    refer_to: str = ""


def read_report(body: bytes) -> Report | Unreadable:
    """The report in a JSON body (UTF-8), or every error in it."""
    report = read_fast(body)
    return report if report is not None else read_slow(body)


def read_fast(body: bytes) -> Report | None:
    """The report, or None where anything at all needs a closer look."""
    # a report has an object for each row and four more, an array for each table: what has more is none, or has more
    # in a text, and to make them all would take long
    if len(body) > _LARGE_BYTES and (
        body.count(b"{") > _MOST_OBJECTS or body.count(b"[") > _MANY or body.count(b'":') > _MOST_MEMBERS
    ):
        return None
    try:
        read = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    keys = 3
    figures: dict[str, Any] = {}
    narratives: dict[str, str] = {}
    nil = False
    if not isinstance(read.figures, UnsetType):
        figures = read.figures
        keys += 1 + len(figures)
    if not isinstance(read.narratives, UnsetType):
        narratives = read.narratives
        keys += 1 + len(narratives)
    tables: dict[str, list[dict[str, Any]]] = {}
    if not isinstance(read.tables, UnsetType):
        tables = read.tables
        keys += 1 + body_tables.members(tables)
    if not isinstance(read.nil, UnsetType):
        nil = read.nil
        keys += 1
    nil_reason = ""
    if not isinstance(read.nil_reason, UnsetType):
        nil_reason = read.nil_reason
        keys += 1
    if (nil or nil_reason) and not (nil and _is_reason(nil_reason)):
        return None
    if not isinstance(read.classified, UnsetType):
        if read.classified:
            return None
        keys += 1
    if not isinstance(read.classification, UnsetType):
        if read.classification not in (None, "public"):
            return None
        keys += 1
    # A key given twice would vanish silently. Every key ends in `":` unless white space parts the two, so where
    # there is no such white space and as many ends as keys, none was given twice.
    if body.count(b'":') != keys or b" :" in body or b"\t:" in body or b"\n:" in body or b"\r:" in body:
        return None
    # PostgreSQL stores no NUL in a text
    escaped = b"\\u" in body
    if escaped and b"\\u0000" in body:
        return None
    # the one whole number that does not come back as it was sent
    minus_zero = b"-0" in body
    if len(figures) > MAX_FIGURES or len(narratives) > MAX_NARRATIVES:
        return None
    for code, value in figures.items():
        if type(value) is not str:
            if type(value) is int:
                if not value and minus_zero:
                    return None
                figures[code] = value = str(value)
            elif value is None:
                continue
            else:
                return None
        if len(value) > MAX_FIGURE_CHARACTERS or (not "0" <= value < ":" and is_classified(value)):
            return None
    for value in narratives.values():
        if len(value) > MAX_NARRATIVE_CHARACTERS or is_classified(value):
            return None
    if tables and not body_tables.take(tables, minus_zero=minus_zero):
        return None
    if not (are_codes(figures.keys()) and are_codes(narratives.keys())):
        return None
    if not are_codes({read.regime, read.period, read.officer}):
        return None
    if escaped or may_hold_long_runs(body):
        _make_stream_safe(figures)
        _make_stream_safe(narratives)
        for row in chain.from_iterable(tables.values()):
            _make_stream_safe(row)
    return Report(read.regime, read.period, read.officer, nil, figures, narratives, nil_reason, tables=tables)


def _is_reason(text: str) -> bool:
    return 0 < len(text) <= MAX_NIL_REASON_CHARACTERS and not text.isspace() and not is_classified(text)


def _make_stream_safe(texts: MutableMapping[str, Any]) -> None:
    """Part runs of more than 30 marks in the texts, all in one pass; None stays. No text may hold a NUL."""
    given = [(code, text) for code, text in texts.items() if text]
    joined = "\0".join([text for _, text in given])
    safe = stream_safe(joined)
    if safe is not joined:
        texts.update(zip([code for code, _ in given], safe.split("\0"), strict=True))


def read_slow(body: bytes) -> Report | Unreadable:
    """The same, with every error reported: linear in the body, and ended at its limits.

    A level is taken apart only as far as its members may be many; deeper ones are wrong whatever they hold.
    """
    errors = Errors()
    read = whole(body, _members, errors)
    if read is None:
        return Unreadable(tuple(errors.found), malformed=True)
    members, body = read
    regime = _code(members.regime, "regime", errors)
    period = _code(members.period, "period", errors)
    officer = _code(members.officer, "officer", errors)
    nil = not isinstance(members.nil, UnsetType) and is_literal(members.nil, b"true")
    if not nil and not isinstance(members.nil, UnsetType) and not is_literal(members.nil, b"false"):
        errors.add("/nil", "`nil` phải là true hoặc false.", "`nil` must be true or false.", *_NIL_FIX)
    nil_reason = _nil_reason(members.nil_reason, nil, errors)
    declines, refer_to = _declining(members.declines, members.refer_to, nil, errors)
    if not isinstance(members.classified, UnsetType) and not (
        is_literal(members.classified, b"false") or is_literal(members.classified, b"null")
    ):
        errors.classified("/classified")
    classification = members.classification
    if (
        not isinstance(classification, UnsetType)
        and not is_literal(classification, b"null")
        and text_of(classification) != "public"
    ):
        errors.classified("/classification")
    _top_level(body, errors)
    figures = _figures(members.figures, errors)
    narratives = _narratives(members.narratives, errors)
    tables = {} if isinstance(members.tables, UnsetType) else body_tables.read(members.tables, errors)
    if errors.found:
        return Unreadable(
            tuple(errors.found), truncated=errors.truncated, regime=regime, period=period, officer=officer,
            declines=declines, refer_to=refer_to,
        )  # fmt: skip
    _make_stream_safe(figures)
    _make_stream_safe(narratives)
    for row in chain.from_iterable(tables.values()):
        _make_stream_safe(row)
    return Report(regime, period, officer, nil, figures, narratives, nil_reason, declines, refer_to, tables)


def _nil_reason(raw: Raw | UnsetType, nil: bool, errors: Errors) -> str:
    """Why there is nothing to report: needed with `nil`, and of no sense without it."""
    text = "" if isinstance(raw, UnsetType) else text_of(raw)
    if text is None:
        errors.add(
            "/nil_reason",
            "`nil_reason` phải là chuỗi ký tự.",
            "`nil_reason` must be a text.",
            "Đặt nội dung trong dấu nháy kép.",
            "Put it in double quotes.",
        )
        return ""
    if is_classified(text):
        errors.classified("/nil_reason")
    elif nil and (not text or text.isspace()):
        errors.add(
            "/nil_reason",
            "Báo cáo không phát sinh phải nêu lý do.",
            "A NIL report must say why there is nothing to report.",
            "Ghi `nil_reason`: việc gì không phát sinh và vì sao.",
            "Write `nil_reason`: what did not occur, and why.",
        )
    elif text and not nil:
        errors.add(
            "/nil_reason",
            "`nil_reason` chỉ đi cùng `nil: true`.",
            "`nil_reason` stands only with `nil: true`.",
            "Bỏ `nil_reason`, hoặc ghi `nil: true`.",
            "Leave `nil_reason` out, or write `nil: true`.",
        )
    elif errors.fits("/nil_reason", text, MAX_NIL_REASON_CHARACTERS):
        return text
    return ""


def _declining(
    declines: Raw | UnsetType, refer_to: Raw | UnsetType, nil: bool, errors: Errors
) -> tuple[Declines | Literal[""], str]:
    """How the sender declines to answer, and whom to ask instead; both empty where it does not."""
    kind: Declines | Literal[""] = ""
    if not isinstance(declines, UnsetType):
        match text_of(declines):
            case "refusal":
                kind = "refusal"
            case "referral":
                kind = "referral"
            case _:
                errors.add(
                    "/declines",
                    "`declines` phải là refusal (từ chối) hoặc referral (chuyển cơ quan khác).",
                    "`declines` must be refusal or referral.",
                    "Sửa giá trị, hoặc bỏ trường này.",
                    "Correct the value, or leave it out.",
                )
        if not nil:
            errors.add(
                "/declines",
                "Từ chối hoặc chuyển thì không kèm số liệu: phải có `nil: true` và `nil_reason` nêu lý do.",
                "What declines holds nothing else: it needs `nil: true`, and `nil_reason` says why.",
                "Ghi `nil: true` và `nil_reason`, hoặc bỏ `declines`.",
                "Write `nil: true` and `nil_reason`, or leave `declines` out.",
            )
    if isinstance(refer_to, UnsetType):
        if kind == "referral":
            errors.missing("refer_to")
        return kind, ""
    agency = _code(refer_to, "refer_to", errors)
    if kind == "refusal" or isinstance(declines, UnsetType):
        errors.add(
            "/refer_to",
            "`refer_to` chỉ đi cùng `declines: referral`.",
            "`refer_to` stands only with `declines: referral`.",
            "Bỏ `refer_to`, hoặc ghi `declines: referral`.",
            "Leave `refer_to` out, or write `declines: referral`.",
        )
    return kind, agency


_NIL_FIX = ("Ghi true nếu kỳ này không phát sinh số liệu.", "Write true if there is nothing to report this period.")


def _top_level(body: bytes, errors: Errors) -> None:
    """Members that a report does not have, and those given twice."""
    level = level_of(body, "", len(_FIELDS) + MAX_ERRORS, errors)
    if level is None:
        return
    if not level.complete:
        errors.truncated = True
    known = ", ".join(sorted(_FIELDS))
    for name in level.names:
        if name not in _FIELDS:
            errors.unknown_field(name, known)


def _code(raw: Raw | UnsetType, name: str, errors: Errors) -> str:
    if isinstance(raw, UnsetType):
        errors.missing(name)
        return ""
    value = text_of(raw)
    if value is None:
        errors.add(
            f"/{name}",
            f"`{name}` phải là chuỗi ký tự.",
            f"`{name}` must be a text.",
            "Đặt giá trị trong dấu nháy kép.",
            "Put the value in double quotes.",
        )
    elif not is_code(value):
        errors.bad_code(f"/{name}", value)
    else:
        return value
    return ""


def _figures(raw: Raw | UnsetType, errors: Errors) -> dict[str, str | None]:
    figures: dict[str, str | None] = {}
    if isinstance(raw, UnsetType):
        return figures
    for code, value in members_of(raw, "/figures", MAX_FIGURES, '{"A01": 12.5, "A02": null}', errors).items():
        if errors.full:
            errors.truncated = True
            break
        pointer = errors.code_of("/figures", code)
        if is_literal(value, b"null"):
            figures[code] = None
            continue
        figure = exact_text_of(value)
        if figure is None:
            errors.add(
                pointer,
                "Chỉ tiêu phải là số, chuỗi hoặc null.",
                "A figure must be a number, a text or null.",
                "Ghi một số, hoặc null nếu không có.",
                "Write a number, or null where there is none.",
            )
        elif is_classified(figure):
            errors.classified(pointer)
        elif errors.fits(pointer, figure, MAX_FIGURE_CHARACTERS):
            figures[code] = figure
    return figures


def _narratives(raw: Raw | UnsetType, errors: Errors) -> dict[str, str]:
    narratives: dict[str, str] = {}
    if isinstance(raw, UnsetType):
        return narratives
    for code, value in members_of(raw, "/narratives", MAX_NARRATIVES, '{"danh_gia": "…"}', errors).items():
        if errors.full:
            errors.truncated = True
            break
        pointer = errors.code_of("/narratives", code)
        text = text_of(value)
        if text is None:
            errors.add(
                pointer,
                "Mục thuyết minh phải là chuỗi ký tự.",
                "A narrative must be a text.",
                "Đặt nội dung trong dấu nháy kép; bỏ mục này nếu không có.",
                "Put it in double quotes; leave the section out where there is none.",
            )
        elif is_classified(text):
            errors.classified(pointer)
        elif errors.fits(pointer, text, MAX_NARRATIVE_CHARACTERS):
            narratives[code] = text
    return narratives


__all__ = ["MAX_CODE_CHARACTERS", "Report", "Unreadable", "read_fast", "read_report", "read_slow"]
