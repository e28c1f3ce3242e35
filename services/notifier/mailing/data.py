"""The file of the mailing rules: read whole or refused with every fault, its line and its cure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from services.notifier.ladders.data import Part, WholeNumber, read_checked
from services.notifier.ladders.domain import parse_span
from services.notifier.mailing.domain import MailingRules, Window
from services.notifier.planning.domain import NoticeKind
from shared.runtime.clock import LOCAL_ZONE

SHIPPED = Path(__file__).parent / "default.yaml"
#: mails go out for at least so long on a working day, so that nothing waits for ever
LEAST_OPEN = timedelta(hours=2)


def _window(value: object) -> object:
    try:
        start, end = (
            datetime.strptime(part, "%H:%M").replace(tzinfo=LOCAL_ZONE).time() for part in str(value).split("-")
        )
    except ValueError:
        raise ValueError('ghi như "08:00-11:30" / write like "08:00-11:30"') from None
    if start >= end:
        raise ValueError("giờ đầu phải trước giờ cuối / the first hour must be before the last")
    return Window(start, end)


def _minutes(value: object) -> object:
    text = str(value)
    if text.endswith("m") and text[:-1].isascii() and text[:-1].isdigit():
        return timedelta(minutes=int(text[:-1]))
    span = parse_span(text) if text.endswith("h") else None
    if span is None:
        raise ValueError("ghi như 15m hoặc 1h / write like 15m or 1h")
    return timedelta(hours=span.count)


class MailingFile(Part):
    """One version of the rules."""

    mailing: Literal["default"]
    version: Annotated[WholeNumber, Field(ge=1, lt=2**31)]
    source: str = Field(min_length=1, max_length=1000)
    windows: tuple[Annotated[Window, BeforeValidator(_window)], ...] = Field(min_length=1, max_length=8)
    gather: Annotated[timedelta, BeforeValidator(_minutes)]
    group: tuple[NoticeKind, ...]
    at_once: tuple[NoticeKind, ...]
    mails_a_day: Annotated[WholeNumber, Field(ge=1, le=100)]

    @model_validator(mode="after")
    def _holds_together(self) -> MailingFile:
        for before, window in zip(self.windows, self.windows[1:], strict=False):
            if window.start < before.end:
                raise ValueError(
                    "windows: hai khung giờ chồng nhau hoặc sai thứ tự / two windows overlap or are out of order"
                )
        if any(_length(window) <= self.gather for window in self.windows):
            raise ValueError("gather: phải ngắn hơn mỗi khung giờ / gather: must be shorter than each window")
        if sum((_length(window) for window in self.windows), timedelta()) < LEAST_OPEN:
            raise ValueError("windows: mở ít nhất 2 giờ mỗi ngày / windows: open for at least 2 hours a day")
        if "digest" in {*self.group, *self.at_once}:
            raise ValueError(
                "group, at_once: digest: luôn là một thư riêng, đi trong khung giờ / always a letter of its own, "
                "within a window"
            )
        if both := sorted(set(self.group) & set(self.at_once)):
            raise ValueError(f"group, at_once: {', '.join(both)}: chỉ ghi ở một nơi / name it in one of them")
        return self

    def parsed(self) -> MailingRules:
        return MailingRules(
            self.version, self.windows, self.gather, frozenset(self.group), frozenset(self.at_once), self.mails_a_day
        )


def _length(window: Window) -> timedelta:
    day = datetime(2000, 1, 1, tzinfo=LOCAL_ZONE)
    return datetime.combine(day, window.end) - datetime.combine(day, window.start)


@dataclass(frozen=True, slots=True)
class ReadRules:
    """The rules with their file's exact text and digest."""

    rules: MailingRules
    body: str
    sha256: str


def parse_rules(name: str, content: bytes) -> ReadRules:
    """Rules from their file's bytes (YAML, UTF-8). Raises LadderError with every fault."""
    file, body, sha256 = read_checked(name, content, MailingFile)
    return ReadRules(file.parsed(), body, sha256)


def shipped_rules() -> ReadRules:
    """The rules that come with the service."""
    return parse_rules(SHIPPED.name, SHIPPED.read_bytes())
