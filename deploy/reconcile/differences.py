"""What is compared: the exports that are read, and a query for each kind of difference with the words that name it.

Standings, overdue marks and totals are recomputed from intake's receipts and validator's verdicts alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.contract.services import SERVICES


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


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def _flag(value: Any) -> int | None:
    return None if value is None else int(bool(value))


def _passed_at(document: Any) -> int | None:
    """The latest hour at which scoring saw the deadline behind."""
    return _moment(_facts(document).get("passed_at"))


def _held(document: Any) -> int:
    """Whether a relief is only proposed: then nobody need be called overdue yet."""
    return int(any(relief.get("status") == "proposed" for relief in _facts(document).get("reliefs", ())))


def _facts(document: Any) -> dict[str, Any]:
    return dict(json.loads(document)["facts"])


@dataclass(frozen=True, slots=True)
class Source:
    """One export of some services, and the columns taken from it (name -> how it is kept).

    made: further columns, each from one of the export's: name -> (that column, how).
    """

    export: str
    services: tuple[str, ...]
    columns: dict[str, Callable[[Any], Any]]
    made: dict[str, tuple[str, Callable[[Any], Any]]] = field(default_factory=dict)

    @property
    def table(self) -> str:
        return self.export.replace("-", "_")

    @property
    def names(self) -> list[str]:
        return [*self.columns, *self.made]

    def values(self, row: Mapping[str, Any]) -> list[Any]:
        """A row as it is kept. Raises KeyError, ValueError or TypeError where it is not as needed."""
        plain = [kept(row[name]) for name, kept in self.columns.items()]
        return [*plain, *(how(row[name]) for name, how in self.made.values())]


_EVENT: dict[str, Callable[[Any], Any]] = {"event_id": _text, "type": _text, "key": _text, "topic": _text, "id": int}
_TAKEN: dict[str, Callable[[Any], Any]] = {"consumer": _text, "event_id": _text}
#: Where an event is may only grow in this order, so it is read in this order too: an event seen as published is
#: looked for among the applied ones afterwards, never before.
SOURCES = (
    Source(
        "submissions",
        ("intake",),
        {"submission_id": _text, "obligation": _text, "agency": _text, "regime": _text, "version": int,
         "received_at": _moment, "nil": _flag, "status": _text},
    ),
    Source("verdicts", ("validator",), {"submission_id": _text, "obligation": _text, "version": int, "outcome": _text}),
    Source("events", SERVICES, _EVENT),
    Source("outbox", SERVICES, {"event_id": _text, "type": _text, "key": _text}),
    Source("deferred-events", SERVICES, _TAKEN),
    Source("dead-letters", SERVICES, _TAKEN),
    Source("inbox", SERVICES, _TAKEN),
    Source(
        "obligations",
        ("scoring",),
        {"obligation": _text, "agency": _text, "regime": _text, "deadline": _moment, "owed": _flag,
         "standing": _text, "on_time": _flag, "overdue": _flag, "answer_version": _whole, "score": _text},
        {"passed_at": ("document", _passed_at), "held": ("document", _held)},
    ),
    Source(
        "score-lines",
        ("scoring",),
        {"obligation": _text, "points": _text, "component": _text, "reverses": _text},
    ),
    # after the obligations: whoever is overdue there has had time to be told here
    Source("notifications", ("notifier",), {"obligation": _text, "kind": _text, "state": _text, "reason": _text}),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Check:
    """One kind of difference: a query whose rows are (key, …), and the sentence for a row."""

    kind: str
    vi: str
    en: str
    query: str


# Keys with an event that a consumer has deferred, by name: until it is released, what follows from it is not owed.
DEFERRED = """
    CREATE TABLE deferred AS
    SELECT DISTINCT w.consumer, e.key FROM deferred_events AS w JOIN events AS e USING (event_id)
"""


def _not_deferred(key: str, consumer: str) -> str:
    return f"NOT EXISTS (SELECT 1 FROM deferred AS f WHERE f.key = {key} AND f.consumer = '{consumer}')"


#: Accepted versions that may answer, by receipt: NIL reports only where none with figures is accepted.
ANSWERS = """
    CREATE TABLE answers AS
    SELECT obligation, version, received_at,
           row_number() OVER (PARTITION BY obligation ORDER BY nil, received_at, version) AS place
      FROM submissions JOIN verdicts AS v USING (submission_id, obligation, version) WHERE v.outcome = 'accepted'
"""

# What the obligation should be, from intake's receipts and validator's verdicts alone; versions count in the order of
# receipt. Marks are set in the order of deadlines by scoring's clock, which is not known here: up to the latest
# deadline that was ever marked, all are due.
EXPECTED = f"""
    CREATE TABLE expected AS
    SELECT o.obligation, o.agency, o.regime, a.version AS answer,
           CASE WHEN a.version IS NOT NULL THEN 'fulfilled' WHEN l.obligation IS NULL THEN 'nothing_sent'
                WHEN l.decided THEN 'returned' ELSE 'awaiting_verdict' END AS standing,
           CASE WHEN a.version IS NULL THEN NULL ELSE a.received_at <= o.deadline END AS on_time,
           o.owed AND a.version IS NULL AND u.obligation IS NULL AND (o.overdue OR NOT o.held)
               AND o.deadline <= (SELECT max(deadline) FROM obligations WHERE passed_at > deadline) IS TRUE AS overdue
      FROM obligations AS o
      LEFT JOIN (SELECT s.obligation, v.submission_id IS NOT NULL AS decided,
                        row_number() OVER (PARTITION BY s.obligation ORDER BY s.received_at DESC, s.version DESC)
                            AS place
                   FROM submissions AS s LEFT JOIN verdicts AS v USING (submission_id)) AS l
        ON l.obligation = o.obligation AND l.place = 1
      LEFT JOIN answers AS a ON a.obligation = o.obligation AND a.place = 1
      LEFT JOIN (SELECT DISTINCT s.obligation
                   FROM submissions AS s JOIN obligations AS d USING (obligation)
                   LEFT JOIN verdicts AS v USING (submission_id)
                  WHERE s.received_at <= d.deadline AND v.submission_id IS NULL) AS u
        ON u.obligation = o.obligation
     WHERE {_not_deferred("o.obligation", "scoring.follow")}
"""

#: what scoring itself says
MARKED = f"""
    CREATE VIEW marked AS
    SELECT obligation, agency, regime, standing, on_time, overdue, answer_version
      FROM obligations AS o WHERE {_not_deferred("o.obligation", "scoring.follow")}
"""

# Of one key of a compacted topic only its newest event must have reached everybody.
OWED_EVENTS = """
    CREATE TABLE owed AS
    SELECT s.consumer, e.event_id, e.type, e.key FROM events AS e JOIN subscriptions AS s USING (type)
     WHERE e.topic NOT IN (SELECT topic FROM compacted)
        OR NOT EXISTS (SELECT 1 FROM events AS n WHERE n.key = e.key AND n.topic = e.topic AND n.id > e.id)
"""

_TOTALS = """
    SELECT agency || ' / ' || regime AS place, count(*) AS owed, sum({0}.standing = 'fulfilled') AS fulfilled,
           coalesce(sum({0}.on_time), 0) AS on_time, sum({0}.standing = 'returned') AS returned,
           sum({0}.overdue) AS overdue
      FROM {0} GROUP BY agency, regime
"""

# A reversal takes back exactly one line of its component.
_IN_FORCE = """
    SELECT obligation, component FROM score_lines GROUP BY obligation, component
    HAVING sum(CASE WHEN reverses IS NULL THEN 1 ELSE -1 END) > 0
"""

CHECKS = (
    Check("submission_without_verdict", "bản nộp {1} (bản {2}) chưa có kết quả kiểm tra",
          "submission {1} (version {2}) has no verdict",
          "SELECT s.obligation, s.submission_id, s.version FROM submissions AS s LEFT JOIN verdicts AS v"
          " USING (submission_id) WHERE v.submission_id IS NULL"
          f" AND {_not_deferred('s.obligation', 'validator.submissions')}"),
    Check("verdict_without_submission", "kết quả kiểm tra cho bản nộp {1} nhưng kho tiếp nhận không có bản này",
          "a verdict on submission {1}, which intake does not have",
          "SELECT v.obligation, v.submission_id FROM verdicts AS v LEFT JOIN submissions AS s"
          " USING (submission_id) WHERE s.submission_id IS NULL"),
    Check("status_unlike_verdict", "bản nộp {1}: nơi tiếp nhận ghi {2}, kết quả kiểm tra là {3}",
          "submission {1}: intake says {2}, the verdict is {3}",
          "SELECT s.obligation, s.submission_id, s.status, v.outcome FROM submissions AS s JOIN verdicts AS v"
          " USING (submission_id) WHERE s.status IS NOT v.outcome"
          f" AND {_not_deferred('s.obligation', 'intake.follow')}"),
    Check("version_gap", "có {1} bản nộp nhưng bản cao nhất là {2}", "{1} submissions, but the highest version is {2}",
          "SELECT obligation, count(*), max(version) FROM submissions GROUP BY obligation"
          " HAVING count(*) <> max(version) OR count(DISTINCT version) <> count(*)"),
    Check("obligation_unknown", "đã nộp {1} bản nhưng chấm điểm không có nghĩa vụ này",
          "{1} submissions, but scoring does not know the obligation",
          "SELECT s.obligation, count(*) FROM submissions AS s LEFT JOIN obligations AS o USING (obligation)"
          f" WHERE o.obligation IS NULL AND {_not_deferred('s.obligation', 'scoring.follow')} GROUP BY s.obligation"),
    Check("standing_unlike_verdicts", "chấm điểm ghi {1}, theo bản nộp và kết quả kiểm tra phải là {2}",
          "scoring says {1}, by submissions and verdicts it is {2}",
          "SELECT o.obligation, o.standing, e.standing FROM obligations AS o JOIN expected AS e USING (obligation)"
          " WHERE o.standing IS NOT e.standing"),
    Check("on_time_unlike_receipts", "chấm điểm ghi đúng hạn = {1}, theo giờ nhận và hạn nộp phải là {2}",
          "scoring says on time = {1}, by receipt and deadline it is {2}",
          "SELECT o.obligation, o.on_time, e.on_time FROM obligations AS o JOIN expected AS e USING (obligation)"
          " WHERE o.on_time IS NOT e.on_time"),
    Check("answer_unlike_verdicts", "chấm điểm lấy bản {1}, theo giờ nhận và kết quả kiểm tra phải là bản {2}",
          "scoring takes version {1}, by receipts and verdicts it is version {2}",
          "SELECT m.obligation, m.answer_version, e.answer FROM marked AS m JOIN expected AS e USING (obligation)"
          " WHERE m.answer_version IS NOT e.answer"),
    Check("score_unlike_lines", "điểm {1} khác tổng các dòng điểm {2}", "score {1} is not the sum of its lines, {2}",
          "SELECT o.obligation, o.score, l.total FROM obligations AS o LEFT JOIN (SELECT obligation,"
          " exact_sum(points) AS total, sum(CASE WHEN reverses IS NULL THEN 1 ELSE -1 END) AS in_force"
          " FROM score_lines GROUP BY obligation) AS l USING (obligation)"
          " WHERE NOT same_score(o.score, l.total, l.in_force)"),
    Check("score_line_without_obligation", "có {1} dòng điểm nhưng không có nghĩa vụ", "{1} score lines, no obligation",
          "SELECT l.obligation, count(*) FROM score_lines AS l LEFT JOIN obligations AS o USING (obligation)"
          " WHERE o.obligation IS NULL GROUP BY l.obligation"),
    Check("verdict_without_score", "kết quả kiểm tra bản {1} ({2}) chưa được tính điểm: thiếu dòng {3}",
          "the verdict on version {1} ({2}) was not scored: there is no line of {3}",
          "SELECT o.obligation, max(v.version), v.outcome, n.component"
          " FROM obligations AS o JOIN verdicts AS v USING (obligation)"
          " JOIN (SELECT 'completeness' AS component UNION ALL SELECT 'timeliness') AS n"
          f" LEFT JOIN ({_IN_FORCE}) AS l ON l.obligation = o.obligation AND l.component = n.component"
          f" WHERE {_not_deferred('o.obligation', 'scoring.follow')} AND o.owed AND l.obligation IS NULL"
          " AND v.outcome = 'accepted'"
          " GROUP BY o.obligation, n.component"),
    Check("overdue_unlike_receipts", "chấm điểm ghi quá hạn = {1}, theo giờ nhận và kết quả kiểm tra phải là {2}",
          "scoring says overdue = {1}, by receipts and verdicts it is {2}",
          "SELECT m.obligation, m.overdue, e.overdue FROM marked AS m JOIN expected AS e USING (obligation)"
          " WHERE m.overdue IS NOT e.overdue"),
    Check("overdue_untold", "đã quá hạn nhưng sổ thông báo không có thông báo, lý do bỏ qua hay sự kiện còn chờ",
          "overdue, but the ledger has neither a notification, nor why it was skipped, nor does an event wait",
          "SELECT m.obligation FROM marked AS m WHERE m.overdue"
          " AND NOT EXISTS (SELECT 1 FROM notifications AS n WHERE n.obligation = m.obligation AND n.kind = 'overdue'"
          " AND (n.state <> 'skipped' OR n.reason IS NOT NULL))"
          " AND NOT EXISTS (SELECT 1 FROM events AS e WHERE e.key = m.obligation"
          " AND e.type = 'vn.thongsuot.obligation.changed.v1'"
          " AND (e.event_id IN (SELECT event_id FROM outbox)"
          " OR e.event_id IN (SELECT event_id FROM deferred_events WHERE consumer = 'notifier.compliance')"
          " OR e.event_id IN (SELECT event_id FROM dead_letters WHERE consumer = 'notifier.compliance')))"),
    Check("totals_unlike_recomputation",
          "phải nộp {1}; hoàn thành {2}, tính lại {6}; đúng hạn {3}, tính lại {7}; trả lại {4}, tính lại {8}; "
          "quá hạn {5}, tính lại {9}",
          "owed {1}; fulfilled {2}, recomputed {6}; on time {3}, recomputed {7}; returned {4}, recomputed {8}; "
          "overdue {5}, recomputed {9}",
          "SELECT a.*, b.fulfilled, b.on_time, b.returned, b.overdue"
          f" FROM ({_TOTALS.format('marked')}) AS a JOIN ({_TOTALS.format('expected')}) AS b USING (place)"
          " WHERE (a.fulfilled, a.on_time, a.returned, a.overdue)"
          " IS NOT (b.fulfilled, b.on_time, b.returned, b.overdue)"),
    Check("event_lost", "sự kiện {1} ({3}) không được {2} áp dụng, tạm hoãn hay giữ làm sự kiện hỏng",
          "{2} has event {1} ({3}) neither applied, nor deferred, nor a dead letter",
          "SELECT w.key, w.event_id, w.consumer, w.type FROM owed AS w"
          " LEFT JOIN inbox AS i ON i.consumer = w.consumer AND i.event_id = w.event_id"
          " LEFT JOIN deferred_events AS p ON p.consumer = w.consumer AND p.event_id = w.event_id"
          " LEFT JOIN dead_letters AS d ON d.consumer = w.consumer AND d.event_id = w.event_id"
          " LEFT JOIN outbox AS u ON u.event_id = w.event_id"
          " WHERE coalesce(i.event_id, p.event_id, d.event_id, u.event_id) IS NULL"),
    Check("event_unsent", "sự kiện {1} ({2}) còn trong hộp thư đi", "event {1} ({2}) is still in the outbox",
          "SELECT key, event_id, type FROM outbox"),
)  # fmt: skip
