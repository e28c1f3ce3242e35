"""Errors of the local stack; each says in Vietnamese and English what is wrong and how to fix it, with an exit code.

StackError
├── UsageError (2)           the arguments are wrong
├── MissingPrerequisite (3)  a program is missing
├── PortInUse (4)            another process uses a port of the stack
├── ChildFailed (5)          a child crashed, or was not ready in time
├── DiskFull (6)             too little space in the stack's directory
├── StackInUse (7)           another supervisor owns the directory
└── Aborted (8)              given up because something else failed first
"""

from __future__ import annotations

import textwrap
from pathlib import Path

from shared.runtime.operator import COLUMNS


class StackError(Exception):
    """The local stack cannot do what was asked."""

    exit_code = 1

    def __init__(self, vi: str, en: str) -> None:
        super().__init__(f"{vi} / {en}")
        self.vi = vi
        self.en = en

    def message(self) -> str:
        """The text for a terminal of 80 columns, Vietnamese above English; does not wrap lines of a log."""
        sentence, *log = self.en.split("\n")
        english = f"({sentence})" if not log else f"({sentence}"
        lines = [*wrapped(self.vi, "", ""), *wrapped(english, "  ", "  "), *log]
        return "\n".join(lines) + (")" if log else "")


class UsageError(StackError):
    """The arguments are wrong."""

    exit_code = 2


class MissingPrerequisite(StackError):
    """A program is missing; the message names the Debian command that installs it."""

    exit_code = 3


class PortInUse(StackError):
    """Another process uses a port of the stack."""

    exit_code = 4

    def __init__(self, port: int, purpose: str, holder: str | None) -> None:
        by_vi = f" bởi {holder}" if holder else ""
        by_en = f" by {holder}" if holder else ""
        super().__init__(
            f"Cổng {port} ({purpose}) đang bị chiếm{by_vi}. Hãy dừng tiến trình đó (hoặc `make down`) rồi chạy lại.",
            f"port {port} ({purpose}) is in use{by_en}; stop that process (or run `make down`) and try again",
        )
        self.port = port


class ChildFailed(StackError):
    """A child process ended unexpectedly, or was not ready in time."""

    exit_code = 5

    def __init__(self, name: str, vi: str, en: str, log_path: Path | None = None, tail: str = "") -> None:
        if tail:
            shown = "\n".join(f"    | {line}" for line in tail.splitlines())
            en = f"{en}\n  {log_path}:\n{shown}"
        super().__init__(vi, en)
        self.name = name
        self.tail = tail


class DiskFull(StackError):
    """Too little space where the stack keeps its data."""

    exit_code = 6


class StackInUse(StackError):
    """Another supervisor runs in the same directory."""

    exit_code = 7


class Aborted(StackError):
    """Given up because something else failed first or the stack is stopping."""

    exit_code = 8


def wrapped(text: str, first: str, rest: str) -> list[str]:
    """Lines of at most 80 columns; a longer path or command stays whole, so that it can be copied."""
    return textwrap.wrap(
        text, COLUMNS, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
