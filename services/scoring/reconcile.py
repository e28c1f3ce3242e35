"""Compares the four stores from outside, through their exports only, and names every difference; it changes nothing.

Rows go to a temporary file on disk page by page and are joined there, so memory grows with the differences only and no
two exports need the same order. A difference counts only if it is there in the first reading and in the last one:
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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import httpx

PAGE_ROWS = 5_000
TRY_SECONDS = 10.0
#: where `make demo` and `make up` put the services
DEFAULT_URLS = {
    "intake": "http://127.0.0.1:28081",
    "validator": "http://127.0.0.1:28082",
    "scoring": "http://127.0.0.1:28083",
    "notifier": "http://127.0.0.1:28084",
}
SERVICES = tuple(DEFAULT_URLS)

_REGISTRY = ("registry.agency", "registry.officer", "registry.regime", "registry.request")
_OBLIGATION = ("obligation.opened", "obligation.due_soon", "obligation.overdue", "obligation.fulfilled")
#: consumer (as in its inbox) -> the event types it applies; a test holds it against the services' own subscriptions
SUBSCRIPTIONS: dict[str, tuple[str, ...]] = {
    "intake.follow": ("verdict.reached", *_OBLIGATION, "score.changed"),
    "validator.registry": ("registry.regime",),
    "validator.submissions": ("submission.received",),
    "scoring.registry": _REGISTRY,
    "scoring.follow": ("submission.received", "verdict.reached"),
    "notifier.registry": _REGISTRY,
    "notifier.verdicts": ("verdict.reached",),
    "notifier.compliance": _OBLIGATION,
}


class CannotCompare(Exception):
    """A store could not be read, or its export is not what this comparison needs. Shown to the operator as it is."""

    def __init__(self, vi: str, en: str) -> None:
        super().__init__(f"{vi} / {en}")
        self.vi, self.en = vi, en


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _moment(value: Any) -> int | None:
    """Microseconds since the epoch: moments compare exactly whatever their offset is written as."""
    if value is None:
        return None
    moment = datetime.fromisoformat(str(value))
    if moment.tzinfo is None:
        raise ValueError("a moment without an offset")
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


def _flag(value: Any) -> int | None:
    return None if value is None else int(bool(value))


@dataclass(frozen=True, slots=True)
class Source:
    """One export of some services, and the columns taken from it (name -> how it is kept)."""

    export: str
    services: tuple[str, ...]
    columns: dict[str, Callable[[Any], Any]]

    @property
    def table(self) -> str:
        return self.export.replace("-", "_")


_EVENT: dict[str, Callable[[Any], Any]] = {"event_id": _text, "type": _text, "key": _text, "topic": _text, "id": int}
_TAKEN: dict[str, Callable[[Any], Any]] = {"consumer": _text, "event_id": _text}
#: Where an event is may only grow in this order, so it is read in this order too: an event seen as published is
#: looked for among the applied ones afterwards, never before.
SOURCES = (
    Source(
        "submissions",
        ("intake",),
        {"submission_id": _text, "obligation": _text, "agency": _text, "regime": _text, "version": int,
         "received_at": _moment, "status": _text},
    ),
    Source("verdicts", ("validator",), {"submission_id": _text, "obligation": _text, "version": int, "outcome": _text}),
    Source("events", SERVICES, _EVENT),
    Source("outbox", SERVICES, {"event_id": _text, "type": _text, "key": _text}),
    Source("waiting", SERVICES, _TAKEN),
    Source("dead-letters", SERVICES, _TAKEN),
    Source("inbox", SERVICES, _TAKEN),
    Source(
        "obligations",
        ("scoring",),
        {"obligation": _text, "agency": _text, "regime": _text, "deadline": _moment, "standing": _text,
         "on_time": _flag, "score": _text},
    ),
    Source("score-lines", ("scoring",), {"obligation": _text, "points": _text}),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Check:
    """One kind of difference: a query whose rows are (key, …), and the sentence for a row."""

    kind: str
    vi: str
    en: str
    query: str


# What the obligation should be, from intake's receipts and validator's verdicts alone.
_EXPECTED = """
    CREATE TABLE expected AS
    SELECT o.obligation, o.agency, o.regime,
           CASE WHEN a.version IS NOT NULL THEN 'fulfilled' WHEN s.newest IS NULL THEN 'nothing_sent'
                WHEN s.decided >= s.newest THEN 'returned' ELSE 'awaiting_verdict' END AS standing,
           CASE WHEN a.version IS NULL THEN NULL ELSE a.received_at <= o.deadline END AS on_time
      FROM obligations AS o
      LEFT JOIN (SELECT s.obligation, max(s.version) AS newest,
                        coalesce(max(CASE WHEN v.submission_id IS NOT NULL THEN s.version END), 0) AS decided
                   FROM submissions AS s LEFT JOIN verdicts AS v USING (submission_id) GROUP BY s.obligation) AS s
        USING (obligation)
      LEFT JOIN (SELECT s.obligation, min(s.version) AS version, s.received_at
                   FROM submissions AS s JOIN verdicts AS v USING (submission_id)
                  WHERE v.outcome = 'accepted' GROUP BY s.obligation) AS a
        USING (obligation)
"""

# The registry topic is compacted: of one key only its newest event must have reached everybody.
_OWED_EVENTS = """
    CREATE TABLE owed AS
    SELECT s.consumer, e.event_id, e.type, e.key FROM events AS e JOIN subscriptions AS s USING (type)
     WHERE e.topic <> 'registry'
        OR NOT EXISTS (SELECT 1 FROM events AS n WHERE n.key = e.key AND n.topic = e.topic AND n.id > e.id)
"""

_TOTALS = """
    SELECT agency || ' / ' || regime AS place, count(*) AS owed, sum({0}.standing = 'fulfilled') AS fulfilled,
           coalesce(sum({0}.on_time), 0) AS on_time, sum({0}.standing = 'returned') AS returned
      FROM {0} GROUP BY agency, regime
"""

CHECKS = (
    Check("submission_without_verdict", "bản nộp {1} (bản {2}) chưa có kết quả kiểm tra",
          "submission {1} (version {2}) has no verdict",
          "SELECT s.obligation, s.submission_id, s.version FROM submissions AS s LEFT JOIN verdicts AS v"
          " USING (submission_id) WHERE v.submission_id IS NULL"),
    Check("verdict_without_submission", "kết quả kiểm tra cho bản nộp {1} nhưng kho tiếp nhận không có bản này",
          "a verdict on submission {1}, which intake does not have",
          "SELECT v.obligation, v.submission_id FROM verdicts AS v LEFT JOIN submissions AS s"
          " USING (submission_id) WHERE s.submission_id IS NULL"),
    Check("status_unlike_verdict", "bản nộp {1}: nơi tiếp nhận ghi {2}, kết quả kiểm tra là {3}",
          "submission {1}: intake says {2}, the verdict is {3}",
          "SELECT s.obligation, s.submission_id, s.status, v.outcome FROM submissions AS s JOIN verdicts AS v"
          " USING (submission_id) WHERE s.status IS NOT v.outcome"),
    Check("version_gap", "có {1} bản nộp nhưng bản cao nhất là {2}", "{1} submissions, but the highest version is {2}",
          "SELECT obligation, count(*), max(version) FROM submissions GROUP BY obligation"
          " HAVING count(*) <> max(version) OR count(DISTINCT version) <> count(*)"),
    Check("obligation_unknown", "đã nộp {1} bản nhưng chấm điểm không có nghĩa vụ này",
          "{1} submissions, but scoring does not know the obligation",
          "SELECT s.obligation, count(*) FROM submissions AS s LEFT JOIN obligations AS o USING (obligation)"
          " WHERE o.obligation IS NULL GROUP BY s.obligation"),
    Check("standing_unlike_verdicts", "chấm điểm ghi {1}, theo bản nộp và kết quả kiểm tra phải là {2}",
          "scoring says {1}, by submissions and verdicts it is {2}",
          "SELECT o.obligation, o.standing, e.standing FROM obligations AS o JOIN expected AS e USING (obligation)"
          " WHERE o.standing IS NOT e.standing"),
    Check("on_time_unlike_receipts", "chấm điểm ghi đúng hạn = {1}, theo giờ nhận và hạn nộp phải là {2}",
          "scoring says on time = {1}, by receipt and deadline it is {2}",
          "SELECT o.obligation, o.on_time, e.on_time FROM obligations AS o JOIN expected AS e USING (obligation)"
          " WHERE o.on_time IS NOT e.on_time"),
    Check("score_unlike_lines", "điểm {1} khác tổng các dòng điểm {2}", "score {1} is not the sum of its lines, {2}",
          "SELECT o.obligation, o.score, l.total FROM obligations AS o LEFT JOIN (SELECT obligation,"
          " exact_sum(points) AS total FROM score_lines GROUP BY obligation) AS l USING (obligation)"
          " WHERE NOT same_number(o.score, l.total)"),
    Check("score_line_without_obligation", "có {1} dòng điểm nhưng không có nghĩa vụ", "{1} score lines, no obligation",
          "SELECT l.obligation, count(*) FROM score_lines AS l LEFT JOIN obligations AS o USING (obligation)"
          " WHERE o.obligation IS NULL GROUP BY l.obligation"),
    Check("totals_unlike_recomputation",
          "phải nộp {1}; hoàn thành {2}, tính lại {5}; đúng hạn {3}, tính lại {6}; trả lại {4}, tính lại {7}",
          "owed {1}; fulfilled {2}, recomputed {5}; on time {3}, recomputed {6}; returned {4}, recomputed {7}",
          f"SELECT a.*, b.fulfilled, b.on_time, b.returned FROM ({_TOTALS.format('obligations')}) AS a"  # noqa: S608
          f" JOIN ({_TOTALS.format('expected')}) AS b USING (place)"
          " WHERE (a.fulfilled, a.on_time, a.returned) IS NOT (b.fulfilled, b.on_time, b.returned)"),
    Check("event_lost", "{2} không áp dụng, không chờ, không nằm trong thư chết sự kiện {1} ({3})",
          "{2} has event {1} ({3}) neither applied, nor waiting, nor dead-lettered",
          "SELECT w.key, w.event_id, w.consumer, w.type FROM owed AS w"
          " LEFT JOIN inbox AS i ON i.consumer = w.consumer AND i.event_id = w.event_id"
          " LEFT JOIN waiting AS p ON p.consumer = w.consumer AND p.event_id = w.event_id"
          " LEFT JOIN dead_letters AS d ON d.consumer = w.consumer AND d.event_id = w.event_id"
          " LEFT JOIN outbox AS u ON u.event_id = w.event_id"
          " WHERE coalesce(i.event_id, p.event_id, d.event_id, u.event_id) IS NULL"),
    Check("event_unsent", "sự kiện {1} ({2}) còn trong hộp gửi", "event {1} ({2}) is still in the outbox",
          "SELECT key, event_id, type FROM outbox"),
)  # fmt: skip


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


def _same_number(left: str | None, right: str | None) -> bool:
    """No score yet and no line yet are both nothing: zero."""
    return Decimal(left or "0") == Decimal(right or "0")


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
            except httpx.TransportError as error:
                said = repr(error)
            else:
                if answer.status_code == 200:
                    return dict(answer.json())
                said = f"HTTP {answer.status_code}"
                if answer.status_code not in (429, 500, 502, 503, 504):
                    give_up_at = 0
            if time.monotonic() >= give_up_at:
                raise CannotCompare(
                    f"Không đọc được `{export}` của {service} tại {url}: {said}.",
                    f"cannot read `{export}` of {service} at {url}: {said}",
                )
            time.sleep(0.5)


def compare(stores: Stores, folder: Path) -> tuple[list[Difference], dict[str, int]]:
    """One reading of all stores: the differences, and how many rows each export had."""
    path = folder / "reading.sqlite"
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path, isolation_level=None)
    try:
        database.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-32000;")
        database.create_aggregate("exact_sum", 1, _ExactSum)  # type: ignore[arg-type]
        database.create_function("same_number", 2, _same_number, deterministic=True)
        counts = _read(database, stores)
        database.execute("CREATE TABLE subscriptions (consumer, type)")
        named = [(name, f"vn.thongsuot.{short}.v1") for name, types in SUBSCRIPTIONS.items() for short in types]
        database.executemany("INSERT INTO subscriptions VALUES (?, ?)", named)
        database.execute(_EXPECTED)
        database.execute(_OWED_EVENTS)
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
        names = ", ".join(source.columns)
        marks = ", ".join("?" * len(source.columns))
        database.execute(f"CREATE TABLE {source.table} ({names})")
        database.execute("BEGIN")
        for service in source.services:
            statement = f"INSERT INTO {source.table} VALUES ({marks})"  # noqa: S608 - names of this file
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
            yield [kept(row[name]) for name, kept in source.columns.items()]
        except (KeyError, ValueError, TypeError) as error:
            raise CannotCompare(
                f"Bản xuất `{source.export}` của {service} không như cần: {error!r}.",
                f"export `{source.export}` of {service} is not as needed: {error!r}",
            ) from error


def reconcile(stores: Stores, settle_seconds: float) -> tuple[list[Difference], dict[str, int]]:
    """Read until nothing differs or the time is up; what remains was there in every reading."""
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
    """`python -m services.scoring reconcile`. `transport` and `out` are for tests."""
    out = out or sys.stdout
    parser = argparse.ArgumentParser(prog="reconcile", description="Đối chiếu bốn kho / compare the four stores.")
    for service in SERVICES:
        url = os.environ.get(f"{service.upper()}_URL", DEFAULT_URLS[service])
        parser.add_argument(f"--{service}", metavar="URL", default=url, help=f"{service.upper()}_URL, {url}")
    parser.add_argument("--token", default=os.environ.get("OPERATOR_TOKEN", ""), help="OPERATOR_TOKEN")
    parser.add_argument("--settle-seconds", type=float, default=10.0, metavar="S",
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


def _show(differences: Sequence[Difference], counts: dict[str, int], as_json: bool, out: TextIO) -> None:
    if as_json:
        document = {"compared": True, "differences": [each._asdict() for each in differences], "rows": counts}
        out.write(json.dumps(document, ensure_ascii=False) + "\n")
        return
    for each in differences:
        out.write(f"{each.kind}  {each.key}\n    {each.message}\n    {each.message_en}\n")
    read = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    out.write(f"Đã đọc / read: {read or '0'}\n")
    out.write(f"Số sai lệch / differences: {len(differences)}\n")
