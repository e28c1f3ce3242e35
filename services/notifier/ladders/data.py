"""A ladder's file: read whole or refused with every fault, its line and its cure; its own tests must pass.

Every scalar is text until its field says what it is, so YAML guesses nothing; anchors, aliases and tags are refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from services.notifier.ladders.domain import (
    EMAIL,
    ROLES,
    Ladder,
    LadderBook,
    LadderRung,
    RungChannel,
    RungRole,
    Severity,
    Span,
    parse_offset,
    parse_span,
)
from shared.contract.events import AgencyKind
from shared.runtime.clock import LOCAL_ZONE
from shared.service.model_files import FileModel, read_model

#: a ladder is a page; more is a wrong file
MAX_FILE_BYTES = 64 * 1024
#: nested deeper it is no ladder
MAX_DEPTH = 8
MAX_RUNGS = 20


class LadderError(ValueError):
    """A ladder or mailing rules are wrong, or may not be loaded; the message names every fault, one a line."""


def _whole(value: object) -> object:
    if not isinstance(value, str) or not value.isascii() or not value.isdigit() or (value[0] == "0" and value != "0"):
        raise ValueError("ghi một số nguyên như 2 / write a whole number such as 2")
    return int(value)


def _moment(value: object) -> object:
    try:
        return datetime.strptime(str(value), "%Y-%m-%d %H:%M").replace(tzinfo=LOCAL_ZONE)
    except ValueError:
        raise ValueError("ghi như 2026-10-19 17:00 / write like 2026-10-19 17:00") from None


def _yes_or_no(value: object) -> object:
    if value not in ("true", "false"):
        raise ValueError("ghi true hoặc false / write true or false")
    return value == "true"


def _hour(value: object) -> object:
    try:
        return datetime.strptime(str(value), "%H:%M").replace(tzinfo=LOCAL_ZONE).time()
    except ValueError:
        raise ValueError('ghi như "08:00" / write like "08:00"') from None


def _span(value: object) -> object:
    return parse_span(str(value))


def _offset(value: object) -> object:
    return parse_offset(str(value))


def _positive(value: Span) -> Span:
    if not value.count:
        raise ValueError("phải lớn hơn 0 / must be more than 0")
    return value


WholeNumber = Annotated[int, BeforeValidator(_whole)]
_Local = Annotated[datetime, BeforeValidator(_moment)]
_Span = Annotated[Span, BeforeValidator(_span)]
_Offset = Annotated[Span, BeforeValidator(_offset)]
_PositiveSpan = Annotated[_Span, AfterValidator(_positive)]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class RungPart(Part):
    rung: str = Field(pattern=r"^[a-z0-9][a-z0-9+]{0,19}$")
    at: _Offset
    tell: RungRole
    channels: tuple[RungChannel, ...] = Field(default=(EMAIL,), min_length=1)
    acknowledge: _PositiveSpan | None = None
    urgent: Annotated[bool, BeforeValidator(_yes_or_no)] = False


class EventPart(Part):
    """What happens in a test: `by` and `until` with an acknowledgement."""

    at: _Local
    event: Literal["acknowledged", "taken_back", "fulfilled", "not_owed", "not_overdue"]
    by: RungRole | None = None
    until: _Local | None = None


class ExpectPart(Part):
    at: _Local
    rung: str
    to: RungRole


class TimelinePart(Part):
    """A timeline: what happens, and whom the ladder tells, in order."""

    name: str = Field(min_length=1, max_length=200)
    deadline: _Local
    unstaffed: tuple[RungRole, ...] = ()  # roles that nobody holds
    looked_at: tuple[_Local, ...] = ()  # when notifier looks; empty: whenever something is due
    events: tuple[EventPart, ...] = ()
    expect: tuple[ExpectPart, ...] = ()


class AppliesPart(Part):
    regimes: tuple[str, ...] = ()
    kinds: tuple[AgencyKind, ...] = ()
    severities: tuple[Severity, ...] = ()


class LadderFile(Part):
    """One version of a ladder with its tests."""

    ladder: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    version: Annotated[WholeNumber, Field(ge=1, lt=2**31)]
    source: str = Field(min_length=1, max_length=1000)
    applies: AppliesPart = AppliesPart()
    grace: _Span = Span(0, "h")
    grace_above: _Span = Span(0, "h")
    office_hour: Annotated[time, BeforeValidator(_hour)] = time(8, 0)
    promise: _PositiveSpan = Span(5, "d")
    promises: Annotated[WholeNumber, Field(ge=0, le=20)] = 2
    rungs: tuple[RungPart, ...] = Field(min_length=1, max_length=MAX_RUNGS)
    tests: tuple[TimelinePart, ...] = Field(min_length=1, max_length=100)

    @model_validator(mode="after")
    def _climbs(self) -> LadderFile:
        names = [rung.rung for rung in self.rungs]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"rungs: {', '.join(twice)}: hai bậc cùng tên / two rungs of one name")
        for before, rung in zip(self.rungs, self.rungs[1:], strict=False):
            if _sooner(rung.at, before.at):
                raise ValueError(
                    f"rungs: {rung.rung} đến trước {before.rung}, hãy xếp theo thời gian / {rung.rung} is due before "
                    f"{before.rung}: put them in order of time"
                )
        highest = -1
        for rung in self.rungs:
            rank = ROLES.index(rung.tell)
            if rank < highest and rung.tell not in {earlier.tell for earlier in self.rungs[: names.index(rung.rung)]}:
                raise ValueError(
                    f"rungs: {rung.rung} báo {rung.tell} sau người ở trên, hãy báo từ dưới lên / {rung.rung} tells "
                    f"{rung.tell} after somebody above: tell from below upwards"
                )
            highest = max(highest, rank)
        return self

    def parsed(self) -> Ladder:
        """As an escalation keeps it."""
        return Ladder(
            self.ladder,
            self.version,
            tuple(
                LadderRung(rung.rung, rung.at, rung.tell, rung.channels, rung.acknowledge, rung.urgent)
                for rung in self.rungs
            ),
            self.applies.regimes,
            self.applies.kinds,
            self.applies.severities,
            self.grace,
            self.office_hour,
            self.promise,
            self.promises,
            self.grace_above,
        )


def _sooner(one: Span, other: Span) -> bool:
    """Whether it is certainly due sooner: a day of 24 hours is at most a working day."""
    if one.unit == other.unit:
        return one.count < other.count
    if one.unit == "h":
        return one.count < 24 * (other.count - 1)
    return one.count == 0 and other.count > 0


@dataclass(frozen=True, slots=True)
class ReadLadder:
    """A ladder with its file's exact text and digest."""

    file: LadderFile
    ladder: Ladder
    body: str
    sha256: str


def read_checked(name: str, content: bytes, model: type[FileModel]) -> tuple[FileModel, str, str]:
    """A file's bytes (YAML, UTF-8) as the model, with its text and SHA-256. Raises LadderError with every fault."""
    file, faults = read_model(content, name, model, scalars="texts", max_bytes=MAX_FILE_BYTES, max_depth=MAX_DEPTH)
    if file is None:
        raise LadderError("\n".join(faults))
    return file, content.decode(), hashlib.sha256(content).hexdigest()


def parse_ladder(name: str, content: bytes) -> ReadLadder:
    """A ladder from its file's bytes (YAML, UTF-8). Raises LadderError with every fault; runs no tests."""
    file, body, sha256 = read_checked(name, content, LadderFile)
    return ReadLadder(file, file.parsed(), body, sha256)


def read_ladder(path: Path) -> ReadLadder:
    """A ladder from its file. Raises LadderError, OSError."""
    return parse_ladder(path.name, path.read_bytes())


def shipped_ladders() -> list[ReadLadder]:
    """Every ladder that comes with the service. Raises LadderError."""
    return [read_ladder(path) for path in sorted(Path(__file__).parent.glob("*.yaml"))]


def conflicts(ladders: Iterable[Ladder]) -> list[str]:
    """Why these ladders cannot be used together; empty where each report has exactly one."""
    book = LadderBook(ladders)
    found = [
        f"{one.label} và {other.label} cùng áp dụng cho một báo cáo, hãy ghi applies hẹp hơn / {one.label} and "
        f"{other.label} are for the same report: narrow one's applies"
        for one, other in book.conflicts()
    ]
    if not book.total:
        found.append("thiếu thang cho mọi báo cáo khác / a ladder without applies is missing, for every other report")
    return found
