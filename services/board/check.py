"""`check`: says before its admission whether pages can show a registry record, by the code that stores and reads it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from services.board.readmodel import queries, store
from shared.contract.checking import Look, Objection, main
from shared.contract.events import AgencyRegistered, PersonRegistered, RegistryEvent


def command(arguments: Sequence[str]) -> int:
    """The command `check`; as `python -m …check` it starts without the rest of the service."""
    return main("board", checker, arguments)


def checker(look: Look) -> Callable[[RegistryEvent], Iterable[Objection]]:
    return _check


def _check(record: RegistryEvent) -> Iterator[Objection]:
    try:
        match record:
            case AgencyRegistered():
                queries.later_parents(store.listed(record, "parents"))
            case PersonRegistered():
                queries.offices(store.listed(record, "offices"))
    except msgspec.MsgspecError as error:
        yield Objection(
            "", f"Bảng theo dõi không đọc được bản ghi này: {error}.", f"The board cannot read the record: {error}.",
            "Sửa bản ghi theo docs/registry.md.", "Correct the record as docs/registry.md says.",
        )  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(command(sys.argv[1:]))
