"""A file is read again once it changes; what cannot be read takes nothing away."""

from __future__ import annotations

from pathlib import Path

from shared.runtime.watched_file import WatchedFile


def _number(content: bytes) -> int:
    return int(content)


def test_a_change_is_seen_and_trouble_keeps_what_was_read(tmp_path: Path) -> None:
    path, said = tmp_path / "number", list[str]()
    watched = WatchedFile(path, _number, said.append)
    assert watched.value() is None
    assert len(said) == 1
    path.write_bytes(b"1")
    assert watched.value() == 1
    path.write_bytes(b"twelve")
    assert watched.value() == 1
    path.unlink()
    assert watched.value() == 1
    assert len(said) == 3
    path.write_bytes(b"23")
    assert watched.value() == 23
    assert len(said) == 3


def test_no_file_is_no_trouble() -> None:
    said = list[str]()
    assert WatchedFile(None, _number, said.append).value() is None
    assert said == []
