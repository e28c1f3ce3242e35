"""What is compared: the exports that are read, and a query for each kind of difference with the words that name it.

Standings, overdue marks and totals are recomputed from intake's receipts and validator's verdicts alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
    Source("deferred-events", SERVICES, _TAKEN),
    Source("dead-letters", SERVICES, _TAKEN),
    Source("inbox", SERVICES, _TAKEN),
    Source(
        "obligations",
        ("scoring",),
        {"obligation": _text, "agency": _text, "regime": _text, "deadline": _moment, "owed": _flag,
         "standing": _text, "on_time": _flag, "overdue_at": _moment, "accepted_version": _whole, "score": _text},
    ),
    Source(
        "score-lines",
        ("scoring",),
        {"obligation": _text, "points": _text, "component": _text, "counters": _text},
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


# What the obligation should be, from intake's receipts and validator's verdicts alone. Marks are set in the order of
# their deadlines by scoring's clock, which is not known here: up to the latest deadline that was marked, all are due.
EXPECTED = f"""
    CREATE TABLE expected AS
    SELECT o.obligation, o.agency, o.regime,
           CASE WHEN a.version IS NOT NULL THEN 'fulfilled' WHEN s.newest IS NULL THEN 'nothing_sent'
                WHEN s.decided >= s.newest THEN 'returned' ELSE 'awaiting_verdict' END AS standing,
           CASE WHEN a.version IS NULL THEN NULL ELSE a.received_at <= o.deadline END AS on_time,
           o.owed AND a.version IS NULL AND coalesce(t.version, 0) <= coalesce(s.decided, 0)
               AND o.deadline <= (SELECT max(deadline) FROM obligations WHERE overdue_at IS NOT NULL) IS TRUE AS overdue
      FROM obligations AS o
      LEFT JOIN (SELECT s.obligation, max(s.version) AS newest,
                        coalesce(max(CASE WHEN v.submission_id IS NOT NULL THEN s.version END), 0) AS decided
                   FROM submissions AS s LEFT JOIN verdicts AS v USING (submission_id) GROUP BY s.obligation) AS s
        USING (obligation)
      LEFT JOIN (SELECT s.obligation, min(s.version) AS version, s.received_at
                   FROM submissions AS s JOIN verdicts AS v USING (submission_id)
                  WHERE v.outcome = 'accepted' GROUP BY s.obligation) AS a
        USING (obligation)
      LEFT JOIN (SELECT s.obligation, max(s.version) AS version
                   FROM submissions AS s JOIN obligations AS d USING (obligation)
                  WHERE s.received_at <= d.deadline GROUP BY s.obligation) AS t
        USING (obligation)
     WHERE {_not_deferred("o.obligation", "scoring.follow")}
"""

#: what scoring itself calls overdue: marked, and nothing accepted since
MARKED = f"""
    CREATE VIEW marked AS
    SELECT obligation, agency, regime, standing, on_time,
           owed AND overdue_at IS NOT NULL AND accepted_version IS NULL AS overdue
      FROM obligations AS o WHERE {_not_deferred("o.obligation", "scoring.follow")}
"""

# The registry topic is compacted: of one key only its newest event must have reached everybody.
OWED_EVENTS = """
    CREATE TABLE owed AS
    SELECT s.consumer, e.event_id, e.type, e.key FROM events AS e JOIN subscriptions AS s USING (type)
     WHERE e.topic <> 'registry'
        OR NOT EXISTS (SELECT 1 FROM events AS n WHERE n.key = e.key AND n.topic = e.topic AND n.id > e.id)
"""

_TOTALS = """
    SELECT agency || ' / ' || regime AS place, count(*) AS owed, sum({0}.standing = 'fulfilled') AS fulfilled,
           coalesce(sum({0}.on_time), 0) AS on_time, sum({0}.standing = 'returned') AS returned,
           sum({0}.overdue) AS overdue
      FROM {0} GROUP BY agency, regime
"""

# A counter-line cancels exactly one line of its component.
_IN_FORCE = """
    SELECT obligation, component FROM score_lines GROUP BY obligation, component
    HAVING sum(CASE WHEN counters IS NULL THEN 1 ELSE -1 END) > 0
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
    Check("score_unlike_lines", "điểm {1} khác tổng các dòng điểm {2}", "score {1} is not the sum of its lines, {2}",
          "SELECT o.obligation, o.score, l.total FROM obligations AS o LEFT JOIN (SELECT obligation,"
          " exact_sum(points) AS total FROM score_lines GROUP BY obligation) AS l USING (obligation)"
          " WHERE NOT same_number(o.score, l.total)"),
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
          " AND (n.component = 'completeness' OR v.outcome = 'accepted')"
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
          " AND e.type = 'vn.thongsuot.obligation.overdue.v1'"
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
