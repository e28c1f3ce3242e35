"""Compares the four stores from outside, through their exports only, and names every difference; it changes nothing.

Rows go to a temporary file on disk page by page and are joined there, so memory grows with the differences only and no
two exports need the same order. A difference counts only if it is there in the first comparison and in the last one:
what is merely on its way between two services is not lost.

Exit codes: 0 no difference; 1 differences; 2 could not compare.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import httpx

from deploy.kafka.provision import load
from deploy.local.options import FIXED_PORTS
from deploy.reconcile.differences import (
    ANSWERS,
    CHECKS,
    DEFERRED,
    EXPECTED,
    MARKED,
    OWED_EVENTS,
    SOURCES,
    Source,
)
from shared.contract.services import SERVICES
from shared.contract.subscriptions import SUBSCRIPTIONS
from shared.runtime.arguments import CommandParser, seconds

__all__ = ["CHECKS", "SOURCES", "compare", "main", "reconcile"]

PAGE_ROWS = 5_000
TRY_SECONDS = 10.0
#: where `make demo` and `make up` put the services
DEFAULT_URLS = {service: f"http://127.0.0.1:{FIXED_PORTS[service]}" for service in SERVICES}


class CannotCompare(Exception):
    """A store could not be read, or its export is not what this comparison needs. Shown to the operator as it is."""

    def __init__(self, vi: str, en: str) -> None:
        super().__init__(f"{vi} / {en}")
        self.vi, self.en = vi, en


class Difference(NamedTuple):
    """One difference, ready to be shown in both languages."""

    kind: str
    key: str
    message: str
    message_en: str


class _ExactSum:
    """SQL aggregate: the exact decimal sum of texts."""

    def __init__(self) -> None:
        self.total = Decimal(0)

    def step(self, value: str) -> None:
        self.total += Decimal(value)

    def finalize(self) -> str:
        return format(self.total, "f")


def same_score(score: str | None, total: str | None, in_force: int | None) -> bool:
    """A score is the sum of its lines; where none is in force there is no score, and the lines sum to nothing."""
    if not in_force:
        return score is None and not Decimal(total or "0")
    return score is not None and Decimal(score) == Decimal(total or "0")


class Stores:
    """The exports of the four services over HTTP."""

    def __init__(self, urls: dict[str, str], token: str, transport: httpx.BaseTransport | None = None) -> None:
        self._urls = urls
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {token}"}, timeout=30, transport=transport, trust_env=False
        )

    def close(self) -> None:
        self._client.close()

    def rows(self, service: str, export: str) -> Iterator[dict[str, Any]]:
        """All rows, page by page. Raises CannotCompare when the service cannot be read."""
        after: str | None = None
        while True:
            page = self._page(service, export, {"limit": str(PAGE_ROWS)} | ({"after": after} if after else {}))
            yield from page["items"]
            if page["next"] is None:
                return
            if page["next"] == after:
                raise CannotCompare(f"{service}/{export}: trang không tiến.", f"{service}/{export}: no progress")
            after = page["next"]

    def _page(self, service: str, export: str, query: dict[str, str]) -> dict[str, Any]:
        url = f"{self._urls[service].rstrip('/')}/v1/exports/{export}"
        give_up_at = time.monotonic() + TRY_SECONDS
        while True:
            try:
                answer = self._client.get(url, params=query)
            except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
                said, give_up_at = repr(error), 0
            except httpx.RequestError as error:
                said = repr(error)
            else:
                if answer.status_code == 200 and (page := _page_of(answer)) is not None:
                    return page
                said = f"HTTP {answer.status_code}"
                if answer.status_code not in (429, 500, 502, 503, 504):
                    give_up_at = 0
            if time.monotonic() >= give_up_at:
                raise CannotCompare(
                    f"Không đọc được `{export}` của {service} tại {url}: {said}.",
                    f"cannot read `{export}` of {service} at {url}: {said}",
                )
            time.sleep(0.5)


def _page_of(answer: httpx.Response) -> dict[str, Any] | None:
    """The export's page; None where something else listens at the address."""
    try:
        page = answer.json()
    except ValueError:
        return None
    return page if isinstance(page, dict) and {"items", "next"} <= page.keys() else None


def compare(stores: Stores, folder: Path) -> tuple[list[Difference], dict[str, int]]:
    """Compare all stores once: the differences, and how many rows each export had."""
    path = folder / "stores.sqlite"
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path, isolation_level=None)
    try:
        database.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-32000;")
        database.create_aggregate("exact_sum", 1, _ExactSum)  # type: ignore[arg-type]
        database.create_function("same_score", 3, same_score, deterministic=True)
        counts = _read(database, stores)
        database.execute("CREATE TABLE subscriptions (consumer, type)")
        named = [(consumer, model.TYPE) for consumer, models in SUBSCRIPTIONS.items() for model in models]
        database.executemany("INSERT INTO subscriptions VALUES (?, ?)", named)
        database.execute("CREATE TABLE compacted (topic)")
        compacted = [(topic.name,) for topic in load() if topic.compacted]
        database.executemany("INSERT INTO compacted VALUES (?)", compacted)
        database.execute(DEFERRED)
        database.execute("CREATE INDEX deferred_by_key ON deferred (key)")
        database.execute(ANSWERS)
        database.execute("CREATE INDEX answers_by_obligation ON answers (obligation, place)")
        database.execute(EXPECTED)
        database.execute(MARKED)
        database.execute(OWED_EVENTS)
        database.execute("CREATE INDEX expected_by_obligation ON expected (obligation)")
        found = []
        for check in CHECKS:
            for row in database.execute(check.query):
                shown = ["–" if value is None else value for value in row]
                found.append(Difference(check.kind, str(row[0]), check.vi.format(*shown), check.en.format(*shown)))
        return found, counts
    finally:
        database.close()
        path.unlink(missing_ok=True)


def _read(database: sqlite3.Connection, stores: Stores) -> dict[str, int]:
    counts: dict[str, int] = {}
    for source in SOURCES:
        names = ", ".join(source.names)
        marks = ", ".join("?" * len(source.names))
        database.execute(f"CREATE TABLE {source.table} ({names})")
        database.execute("BEGIN")
        for service in source.services:
            statement = f"INSERT INTO {source.table} VALUES ({marks})"
            cursor = database.executemany(statement, _values(source, service, stores))
            counts[f"{service}/{source.export}"] = max(0, cursor.rowcount)
        database.execute("COMMIT")
        for column in ("submission_id", "obligation", "event_id", "key"):
            if column in source.columns:
                database.execute(f"CREATE INDEX {source.table}_{column} ON {source.table} ({column})")
    return counts


def _values(source: Source, service: str, stores: Stores) -> Iterator[list[Any]]:
    for row in stores.rows(service, source.export):
        try:
            yield source.values(row)
        except (KeyError, ValueError, TypeError) as error:
            raise CannotCompare(
                f"Bản xuất `{source.export}` của {service} không như cần: {error!r}.",
                f"export `{source.export}` of {service} is not as needed: {error!r}",
            ) from error


def reconcile(stores: Stores, settle_seconds: float) -> tuple[list[Difference], dict[str, int]]:
    """Read until nothing differs or the time is up; what remains was there every time."""
    give_up_at = time.monotonic() + settle_seconds
    with tempfile.TemporaryDirectory(prefix="reconcile-") as folder:
        lasting, counts = compare(stores, Path(folder))
        while lasting and time.monotonic() < give_up_at:
            time.sleep(min(1.0, settle_seconds))
            again, counts = compare(stores, Path(folder))
            known = set(lasting)
            lasting = [difference for difference in again if difference in known]
    return lasting, counts


def main(
    argv: Sequence[str] | None = None, *, transport: httpx.BaseTransport | None = None, out: TextIO | None = None
) -> int:
    """`python -m deploy.reconcile`. `transport` and `out` are for tests."""
    out = out or sys.stdout
    parser = CommandParser(
        prog="python -m deploy.reconcile", description="Đối chiếu bốn kho / compare the four stores."
    )
    for service in SERVICES:
        url = os.environ.get(f"{service.upper()}_URL", DEFAULT_URLS[service])
        parser.add_argument(f"--{service}", metavar="URL", default=url, help=f"{service.upper()}_URL, {url}")
    parser.add_argument("--token", type=_token, default=os.environ.get("OPERATOR_TOKEN", ""), help="OPERATOR_TOKEN")
    parser.add_argument("--settle-seconds", type=seconds, default=10.0, metavar="S",
                        help="đọc lại trong bấy lâu trước khi coi là sai lệch / read again for so long")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="kết quả dạng JSON / the result as JSON")
    options = parser.parse_args(argv)
    stores = Stores({service: getattr(options, service) for service in SERVICES}, options.token, transport)
    try:
        differences, counts = reconcile(stores, options.settle_seconds)
    except CannotCompare as error:
        if options.json:
            document = {"compared": False, "error": error.vi, "error_en": error.en}
            out.write(json.dumps(document, ensure_ascii=False) + "\n")
        else:
            out.write(f"Không đối chiếu được. {error.vi}\nCould not compare: {error.en}\n")
        return 2
    finally:
        stores.close()
    _show(differences, counts, options.json, out)
    return 1 if differences else 0


def _token(text: str) -> str:
    """What a header can carry; for argparse's `type`."""
    if not text.isascii() or not text.isprintable():
        raise argparse.ArgumentTypeError("chỉ gồm ký tự ASCII in được / printable ASCII only")
    return text


def _show(differences: Sequence[Difference], counts: dict[str, int], as_json: bool, out: TextIO) -> None:
    if as_json:
        document = {
            "compared": True,
            "differences": [difference._asdict() for difference in differences],
            "rows": counts,
        }
        out.write(json.dumps(document, ensure_ascii=False) + "\n")
        return
    for difference in differences:
        out.write(f"{difference.kind}  {difference.key}\n    {difference.message}\n    {difference.message_en}\n")
    read = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    out.write(f"Đã đọc / read: {read or '0'}\n")
    out.write(f"Số sai lệch / differences: {len(differences)}\n")
