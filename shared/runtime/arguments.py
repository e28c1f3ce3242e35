"""How every command reads its arguments, and says what is wrong with them: Vietnamese first, English beside it.

A wrong use ends with code 2 and one sentence that names the argument; argparse alone would say it in English only.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NoReturn

from shared.runtime.operator import unreadable

#: years that PostgreSQL, Python and every calendar of ours hold, in any time zone
YEARS = range(1970, 3000)

#: argparse's sentences (CPython 3.11 to 3.14) -> ours; what is in no group is said as it is
_SENTENCES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), ours)
    for pattern, ours in (
        (r"the following arguments are required: (.*)", r"thiếu đối số / arguments are missing: \1"),
        (r"unrecognized arguments: (.*)", r"đối số không có / unknown arguments: \1"),
        (
            r"(?:argument (.*?): )?invalid choice: (.*?) \(choose from (.*)\)",
            r"\1: không có / there is no \2; chọn / choose from \3",
        ),
        (r"argument (.*?): invalid int value: (.*)", r"\1: \2 không phải số nguyên / is not a whole number"),
        (r"argument (.*?): invalid float value: (.*)", r"\1: \2 không phải số / is not a number"),
        (r"argument (.*?): invalid UUID value: (.*)", r"\1: \2 không phải mã UUID / is not a UUID"),
        (r"argument (.*?): invalid \S+ value: (.*)", r"\1: \2 không đọc được / cannot be read"),
        (r"argument (.*?): expected one argument", r"\1: cần một giá trị / needs a value"),
        (r"argument (.*?): expected (.*)", r"\1: thiếu giá trị / needs values (\2)"),
        (r"argument (.*?): not allowed with argument (.*)", r"\1: không dùng cùng / cannot be used with \2"),
        (r"one of the arguments (.*) is required", r"cần một trong / one of these is needed: \1"),
        (r"ambiguous option: (.*?) could match (.*)", r"\1: chưa rõ là đối số nào / may be one of \2"),
        (r"argument (.*?): ignored explicit argument (.*)", r"\1: không nhận giá trị / takes no value: \2"),
        (r"argument (.*?): (.*)", r"\1: \2"),
    )
)


class _Help(argparse.RawDescriptionHelpFormatter):
    def add_usage(self, usage: str | None, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, "cách dùng / usage: " if prefix is None else prefix)


class CommandParser(argparse.ArgumentParser):
    """argparse in two languages. Subcommands that are added to it are of this class too."""

    def __init__(self, *, add_help: bool = True, **options: Any) -> None:
        options.setdefault("formatter_class", _Help)
        super().__init__(add_help=False, **options)
        self._positionals.title, self._optionals.title = "đối số / arguments", "tùy chọn / options"
        if add_help:
            self.add_argument("-h", "--help", action="help", help="xem hướng dẫn này / show this help")

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        given = sys.argv[1:] if args is None else list(args)
        if (fault := unreadable(given)) is not None:
            self.error(fault)
        return super().parse_known_args(given, namespace)

    def error(self, message: str) -> NoReturn:
        """Say it, and end with code 2."""
        self.exit(2, f"{self.format_usage()}{self.prog}: sai cách dùng / wrong use: {in_two_languages(message)}\n")


def in_two_languages(message: str) -> str:
    """argparse's sentence in Vietnamese and English."""
    for pattern, ours in _SENTENCES:
        if (found := pattern.fullmatch(message)) is not None:
            return found.expand(ours).removeprefix(": ")
    return message


def moment(text: str) -> datetime:
    """ISO 8601 with its offset; for `type`."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r}: không phải thời điểm / is not a moment; ghi như / write it like 2026-01-31T00:00:00+07:00"
        ) from None
    if given.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r}: cần có múi giờ / needs an offset: 2026-01-31T00:00:00+07:00")
    if given.year not in YEARS:
        raise argparse.ArgumentTypeError(f"{text!r}: năm / the year: {YEARS[0]}–{YEARS[-1]}")
    return given


def whole(least: int, most: int) -> Callable[[str], int]:
    """A whole number within these bounds; for `type`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text[:40]!r}: số nguyên / a whole number, {least}–{most}")
        return value

    return read


def seconds(text: str) -> float:
    """A time of at most a day; for `type`."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text[:40]!r}: số giây từ 0 đến 86400 / seconds from 0 to 86400")
    return value
