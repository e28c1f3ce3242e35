"""The content of a small file, read again once the file changes; while it is replaced, what was read before stands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_BYTES = 10_000


class WatchedFile(Generic[T]):
    """What `read` makes of a file's content. None: no file is named, or none could ever be read."""

    def __init__(self, path: Path | None, read: Callable[[bytes], T], failed: Callable[[str], None]) -> None:
        """read: raises ValueError for a content that is none. failed: told why the file cannot be used now."""
        self._path = path
        self._read = read
        self._failed = failed
        self._value: T | None = None
        self._seen: tuple[int, int, int] | None = None  # what identified the file when it was read

    def value(self) -> T | None:
        """The newest usable content."""
        if self._path is None:
            return None
        try:
            now = self._path.stat()
            seen = (now.st_mtime_ns, now.st_size, now.st_ino)
            if self._value is None or seen != self._seen:
                with self._path.open("rb") as file:
                    self._value = self._read(file.read(MAX_BYTES))
                self._seen = seen
        except (OSError, ValueError) as error:
            self._failed(str(error)[:500])
        return self._value
