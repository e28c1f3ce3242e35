"""A difference is one value that contradicts another store or a rule; it says what, where, both values, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from shared.runtime.clock import LOCAL_ZONE

#: what a difference is about: an obligation's key, an event's id, or what is kept once (registry, rules)
Subject = Literal["obligation", "event", "reference"]

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
_LEAVES = frozenset({str, int, bool, type(None)})
_MOST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Kind:
    """A group of differences: its title, and what to do next."""

    vi: str
    en: str
    next_vi: str
    next_en: str


#: in the order in which they are shown: what the others follow from comes first
KINDS: dict[str, Kind] = {
    "unreadable": Kind(
        "không so được", "could not be compared",
        "giá trị lạ đến mức không tính được: xem bản ghi, khôi phục từ bản sao lưu: docs/restore.md",
        "a value so odd that nothing follows from it: look at the record, restore from the backup: docs/restore.md",
    ),
    "registry": Kind(
        "danh mục lệch", "copies of the registry differ",
        "nạp lại: `python -m services.intake registry apply FOLDER`, hoặc gửi lại: `python -m services.intake replay`",
        "load it again: `python -m services.intake registry apply FOLDER`, or send it again:"
        " `python -m services.intake replay`",
    ),
    "rules": Kind(
        "lịch, quy tắc hoặc gia hạn không như đã nạp, đã quyết định",
        "a calendar, policy or relief is not as it was loaded or decided",
        "đây là bảng chỉ ghi thêm: tìm ai đã sửa kho, khôi phục từ bản sao lưu; xem docs/scoring.md",
        "these tables only grow: find who changed the database, restore from the backup; see docs/scoring.md",
    ),
    "event": Kind(
        "sự kiện mất, lạ hoặc khác nơi phát", "an event is lost, unknown, or unlike what its publisher stores",
        "chưa áp dụng: `python -m services.<nơi phát> replay`; còn trong hộp thư đi: docs/stuck-events.md",
        "not applied: `python -m services.<publisher> replay`; still in an outbox: docs/stuck-events.md",
    ),
    "unfinished": Kind(
        "việc còn dở", "work that is not done",
        "`python -m services.scoring setbacks list`; sự kiện tạm hoãn, sự kiện hỏng: docs/stuck-events.md",
        "`python -m services.scoring setbacks list`; deferred events, dead letters: docs/stuck-events.md",
    ),
    "receipt": Kind(
        "bản nộp không như đã nhận", "a submission is not as it was received",
        "so với biên nhận của cơ quan (mã bản nộp, giờ nhận, sha256); khôi phục kho tiếp nhận: docs/restore.md",
        "compare with the agency's receipt (submission id, receipt time, sha256); restore intake: docs/restore.md",
    ),
    "verdict": Kind(
        "kết quả kiểm tra không như biểu mẫu và bản nộp cho ra", "a verdict is not what form and submission give",
        "thiếu: `python -m services.intake replay`; khác: tìm ai đã sửa kho, khôi phục validator: docs/restore.md",
        "missing: `python -m services.intake replay`; other: find who changed the store, restore: docs/restore.md",
    ),
    "deadline": Kind(
        "hạn, kỳ hoặc quy tắc áp dụng không như chế độ báo cáo và lịch cho ra",
        "terms are not what regime, calendar and policies give",
        "`python -m services.scoring recompute KEY`; chạy lại bộ tạo: `python -m services.scoring setbacks list`",
        "`python -m services.scoring recompute KEY`; the generator: `python -m services.scoring setbacks list`",
    ),
    "owed": Kind(
        "thiếu hoặc thừa nghĩa vụ báo cáo", "an obligation is missing, or should not be there",
        "`python -m services.scoring setbacks list`; xem docs/scoring.md, mục Generation",
        "`python -m services.scoring setbacks list`; see docs/scoring.md, Generation",
    ),
    "facts": Kind(
        "chấm điểm giữ sự việc khác nơi ghi nhận", "scoring keeps other facts than their owners",
        "thiếu: `replay` của nơi phát; khác: dựng lại kho chấm điểm: docs/restore.md",
        "missing: `replay` of their publisher; other: build scoring again: docs/restore.md",
    ),
    "standing": Kind(
        "tình trạng khác điều khoản và sự việc cho ra", "a standing is not what terms and facts give",
        "`python -m services.scoring recompute KEY`", "`python -m services.scoring recompute KEY`",
    ),
    "score": Kind(
        "điểm hoặc dòng điểm khác quy tắc chấm điểm cho ra", "a score or its lines are not what the policy gives",
        "`python -m services.scoring recompute KEY`; dòng điểm chỉ ghi thêm: tìm ai đã sửa kho",
        "`python -m services.scoring recompute KEY`; lines are append-only: find who changed the store",
    ),
    "copy": Kind(
        "bản sao lệch nơi ghi nhận", "a copy differs from its owner",
        "gửi lại: `python -m services.<nơi phát> replay`; vẫn lệch: dựng lại kho có bản sao: docs/restore.md",
        "send it again: `python -m services.<owner> replay`; if it stays, rebuild the copy's store: docs/restore.md",
    ),
    "notice": Kind(
        "thông báo không như phải gửi", "notices are not what should have been told",
        "`python -m services.notifier mail list`; chưa gửi: `mail resend ID --why TEXT`; xem docs/notifications.md",
        "`python -m services.notifier mail list`; unsent: `mail resend ID --why TEXT`; see docs/notifications.md",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that should be another one.

    where: service.table. key: of the record. column: or a path in a document; empty: the record itself.
    by: who says what it should be, or that it was derived again.
    """

    kind: str
    where: str
    key: str
    column: str
    found: str
    expected: str
    by: str
    by_en: str
    subject: Subject = "obligation"

    @property
    def _place(self) -> str:
        return f"{self.where} {self.key}" + (f" {self.column}" if self.column else "")

    @property
    def message(self) -> str:
        return f"{self._place}: ghi {self.found}, {self.by}: {self.expected}"

    @property
    def message_en(self) -> str:
        return f"{self._place}: says {self.found}, {self.by_en}: {self.expected}"

    def document(self) -> dict[str, str]:
        """Return it as `--json` and `--ndjson` print it."""
        kind = KINDS[self.kind]
        return {
            "kind": self.kind, "where": self.where, "key": self.key, "column": self.column, "found": self.found,
            "expected": self.expected, "message": self.message, "message_en": self.message_en,
            "next": kind.next_vi, "next_en": kind.next_en,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Teller:
    """Makes the differences of one record: values of one kind and place against one source."""

    kind: str
    where: str
    key: str
    by: str
    by_en: str = ""
    subject: Subject = "obligation"

    def difference(self, column: str, found: object, expected: object) -> Difference:
        return Difference(
            self.kind, self.where, self.key, column, shown(found), shown(expected), self.by, self.by_en or self.by,
            self.subject,
        )  # fmt: skip

    def missing(self) -> Difference:
        return self.difference("", "không có / nothing", "có / there is one")

    def surplus(self) -> Difference:
        return self.difference("", "có / there is one", "không có / nothing")

    def values(self, found: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[Difference]:
        """Yield every column of `expected` in which `found` has another value; documents leaf by leaf."""
        for column, value in expected.items():
            here = found.get(column)
            if not _alike(here, value):
                yield from self.document(here, value, column)

    def document(self, found: object, expected: object, path: str = "") -> Iterator[Difference]:
        """Yield every leaf in which two JSON values differ. Equal moments may be written with different offsets."""
        if isinstance(found, Mapping) and isinstance(expected, Mapping):
            for name in sorted({*found, *expected}):
                one, other = found.get(name), expected.get(name)
                if not _alike(one, other):
                    yield from self.document(one, other, f"{path}.{name}" if path else str(name))
        elif isinstance(found, list | tuple) and isinstance(expected, list | tuple):
            for place in range(max(len(found), len(expected))):
                here = f"{path}[{place}]"
                if place >= len(found):
                    yield self.difference(here, None, expected[place])
                elif place >= len(expected):
                    yield self.difference(here, found[place], None)
                else:
                    yield from self.document(found[place], expected[place], here)
        elif not same(found, expected):
            yield self.difference(path, found, expected)


def _alike(one: object, other: object) -> bool:
    """Whether two values are plainly the same leaf, as most are: it saves a generator for each. False says nothing."""
    return type(one) is type(other) and type(one) in _LEAVES and one == other


def same(one: object, other: object) -> bool:
    """Whether two leaves mean the same: `true` is not 1, and a moment is the same under any offset."""
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    if one == other:
        return True
    return _plain(one) == _plain(other)


def _plain(value: object) -> object:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, str) and _MOMENT.match(value):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return value
        return moment.astimezone(UTC) if moment.tzinfo else value
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return value


def shown(value: object) -> str:
    """Format a value for people: moments in local time, nothing as a dash, long text cut."""
    plain = _plain(value)
    if plain is None:
        return "–"
    if isinstance(plain, datetime):
        return plain.astimezone(LOCAL_ZONE).isoformat(sep=" ")
    text = str(plain)
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…"
