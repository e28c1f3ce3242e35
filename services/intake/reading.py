"""A report's body is read without losing a digit: figures are kept as the text that was sent.

A good body takes one msgspec pass. Anything else is read again slowly, and every error in it is told at once with
its JSON Pointer (RFC 6901). Both readings agree on every body the first one takes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec

from services.intake.body_errors import Errors
from services.intake.body_json import NumberText, parse
from services.intake.limits import (
    MAX_CODE_CHARACTERS,
    MAX_FIGURE_CHARACTERS,
    MAX_FIGURES,
    MAX_NARRATIVE_CHARACTERS,
    MAX_NARRATIVES,
    are_codes,
    is_code,
)
from shared.errors import FieldError


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    regime: str
    period: str
    officer: str
    nil: bool | msgspec.UnsetType = msgspec.UNSET
    figures: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    narratives: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    classification: str | msgspec.UnsetType | None = msgspec.UNSET


_FIELDS = frozenset(_Body.__struct_fields__)
_decoder = msgspec.json.Decoder(_Body, float_hook=str)


class Report(msgspec.Struct, frozen=True):
    """What an agency sent, read and within limits; nothing is known yet of its regime, period or officer."""

    regime: str
    period: str
    officer: str
    nil: bool
    figures: dict[str, str | None]
    narratives: dict[str, str]

    def content_sha256(self) -> bytes:
        """Names the content, whatever the order of keys or the white space: equal reports have equal names."""
        canonical = msgspec.json.encode((self.officer, self.nil, self.figures, self.narratives), order="sorted")
        return hashlib.sha256(canonical).digest()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A body that is not a report, with every error found in it."""

    errors: tuple[FieldError, ...]
    malformed: bool = False  # not even a JSON object


def read_report(body: bytes) -> Report | Unreadable:
    """The report in a JSON body (UTF-8), or every error in it."""
    report = read_fast(body)
    return report if report is not None else read_slow(body)


def read_fast(body: bytes) -> Report | None:
    """The report, or None where anything at all needs a closer look."""
    try:
        read = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    keys = 3
    figures: dict[str, Any] = {}
    narratives: dict[str, str] = {}
    nil = False
    if not isinstance(read.figures, msgspec.UnsetType):
        figures = read.figures
        keys += 1 + len(figures)
    if not isinstance(read.narratives, msgspec.UnsetType):
        narratives = read.narratives
        keys += 1 + len(narratives)
    if not isinstance(read.nil, msgspec.UnsetType):
        nil = read.nil
        keys += 1
    if not isinstance(read.classification, msgspec.UnsetType):
        if read.classification not in (None, "public"):
            return None
        keys += 1
    # A key given twice would vanish silently. Every key ends in `":` unless white space parts the two, so where
    # there is no such white space and as many ends as keys, none was given twice.
    if body.count(b'":') != keys or b" :" in body or b"\t:" in body or b"\n:" in body or b"\r:" in body:
        return None
    # `-0` is the one whole number that does not come back as it was sent; PostgreSQL stores no NUL in a text
    if b"-0" in body or b"\\u0000" in body:
        return None
    if len(figures) > MAX_FIGURES or len(narratives) > MAX_NARRATIVES:
        return None
    for code, value in figures.items():
        if type(value) is not str:
            if type(value) is int:
                figures[code] = value = str(value)
            elif value is None:
                continue
            else:
                return None
        if len(value) > MAX_FIGURE_CHARACTERS:
            return None
    for value in narratives.values():
        if len(value) > MAX_NARRATIVE_CHARACTERS:
            return None
    if not (are_codes(figures.keys()) and are_codes(narratives.keys())):
        return None
    if not are_codes({read.regime, read.period, read.officer}):
        return None
    return Report(read.regime, read.period, read.officer, nil, figures, narratives)


def read_slow(body: bytes) -> Report | Unreadable:
    """The same, with every error told. Costs several times more; the price of a mistake, not of a report."""
    errors = Errors()
    document = parse(body, errors)
    if not isinstance(document, dict):
        if not errors.found:
            errors.add("", "Nội dung phải là một đối tượng JSON.", "The body must be a JSON object.", *_SHAPE_FIX)
        return Unreadable(tuple(errors.found), malformed=True)
    for name in document.keys() - _FIELDS:
        errors.unknown_field(name, sorted(_FIELDS))
    regime = _code(document, "regime", errors)
    period = _code(document, "period", errors)
    officer = _code(document, "officer", errors)
    nil = document.get("nil", False)
    if not isinstance(nil, bool):
        errors.add("/nil", "`nil` phải là true hoặc false.", "`nil` must be true or false.", *_NIL_FIX)
    if document.get("classification") not in (None, "public"):
        errors.classified()
    figures = _figures(document.get("figures", {}), errors)
    narratives = _narratives(document.get("narratives", {}), errors)
    if errors.found:
        return Unreadable(tuple(errors.found))
    return Report(regime, period, officer, bool(nil), figures, narratives)


_SHAPE_FIX = (
    'Gửi {"regime": …, "period": …, "officer": …, "figures": {…}, "narratives": {…}}.',
    'Send {"regime": …, "period": …, "officer": …, "figures": {…}, "narratives": {…}}.',
)
_NIL_FIX = ("Ghi true nếu kỳ này không phát sinh số liệu.", "Write true if there is nothing to report this period.")


def _code(document: dict[str, Any], name: str, errors: Errors) -> str:
    value = document.get(name)
    if name not in document:
        errors.missing(name)
    elif not isinstance(value, str) or isinstance(value, NumberText):
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


def _figures(value: Any, errors: Errors) -> dict[str, str | None]:
    if not isinstance(value, dict):
        errors.add(
            "/figures",
            "`figures` phải là một đối tượng JSON.",
            "`figures` must be a JSON object.",
            'Ví dụ: {"A01": 12.5, "A02": null}.',
            'For example {"A01": 12.5, "A02": null}.',
        )
        return {}
    if len(value) > MAX_FIGURES:
        errors.too_many("/figures", len(value), MAX_FIGURES)
        return {}
    figures: dict[str, str | None] = {}
    for code, figure in value.items():
        pointer = errors.code_of("/figures", code)
        if figure is None:
            figures[code] = None
        elif not isinstance(figure, str):
            errors.add(
                pointer,
                "Chỉ tiêu phải là số, chuỗi hoặc null.",
                "A figure must be a number, a text or null.",
                "Ghi một số, hoặc null nếu không có.",
                "Write a number, or null where there is none.",
            )
        elif errors.fits(pointer, figure, MAX_FIGURE_CHARACTERS):
            figures[code] = str(figure)
    return figures


def _narratives(value: Any, errors: Errors) -> dict[str, str]:
    if not isinstance(value, dict):
        errors.add(
            "/narratives",
            "`narratives` phải là một đối tượng JSON.",
            "`narratives` must be a JSON object.",
            'Ví dụ: {"danh_gia": "…"}.',
            'For example {"danh_gia": "…"}.',
        )
        return {}
    if len(value) > MAX_NARRATIVES:
        errors.too_many("/narratives", len(value), MAX_NARRATIVES)
        return {}
    narratives: dict[str, str] = {}
    for code, text in value.items():
        pointer = errors.code_of("/narratives", code)
        if not isinstance(text, str) or isinstance(text, NumberText):
            errors.add(
                pointer,
                "Mục thuyết minh phải là chuỗi ký tự.",
                "A narrative must be a text.",
                "Đặt nội dung trong dấu nháy kép; bỏ mục này nếu không có.",
                "Put it in double quotes; leave the section out where there is none.",
            )
        elif errors.fits(pointer, text, MAX_NARRATIVE_CHARACTERS):
            narratives[code] = text
    return narratives


__all__ = ["MAX_CODE_CHARACTERS", "Report", "Unreadable", "read_fast", "read_report", "read_slow"]
