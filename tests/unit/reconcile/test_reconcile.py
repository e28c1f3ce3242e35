"""Each kind of difference turns reconcile red, and four stores that agree leave it green."""

from __future__ import annotations

import copy
import io
import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from deploy.reconcile import comparison
from shared.contract.events import MODELS, OWNERS
from shared.contract.services import SERVICES
from shared.contract.subscriptions import SUBSCRIPTIONS

Exports = dict[tuple[str, str], list[dict[str, Any]]]

KEY = "H99.101/KTXH-THANG/2026-M01"
LATE = "H99.102/KTXH-THANG/2026-M01"
SILENT = "H99.103/KTXH-THANG/2026-M01"
DEADLINE = "2026-01-19T17:00:00+07:00"
MARKED = "2026-01-19T17:00:30+07:00"


def _uuid(number: int) -> str:
    return f"01900000-0000-7000-8000-{number:012d}"


def facts(**facts: Any) -> str:
    """What scoring stores of an obligation, as far as it is read here."""
    return json.dumps({"facts": facts, "state": {}})


def agreeing() -> Exports:
    """A small province in which all agrees: a correction in time, an accepted late report, a silent agency."""
    exports: Exports = {}

    def put(service: str, export: str, **row: Any) -> None:
        exports.setdefault((service, export), []).append(row)

    for service in OWNERS.values():
        for export in ("events", "outbox", "deferred-events", "dead-letters", "inbox"):
            exports.setdefault((service, export), [])

    def submission(number: int, key: str, version: int, received_at: str, outcome: str, *, nil: bool = False) -> None:
        agency, regime, period = key.split("/")
        put("intake", "submissions", submission_id=_uuid(number), obligation=key, agency=agency, regime=regime,
            period=period, version=version, received_at=received_at, nil=nil, status=outcome)  # fmt: skip
        put("validator", "verdicts", submission_id=_uuid(number), obligation=key, version=version, outcome=outcome)

    submission(1, KEY, 1, "2026-01-16T10:00:00.000001+07:00", "returned")
    submission(2, KEY, 2, "2026-01-19T10:00:00+00:00", "accepted")  # the very moment of the deadline
    submission(3, LATE, 1, "2026-01-19T17:00:00.000001+07:00", "accepted")
    for key, standing, on_time, passed_at, answer, score in (
        (KEY, "fulfilled", True, None, 2, "97.50"),
        (LATE, "fulfilled", False, MARKED, 1, "0.3"),
        (SILENT, "nothing_sent", None, MARKED, None, "0"),
    ):
        agency, regime, period = key.split("/")
        put("scoring", "obligations", obligation=key, agency=agency, regime=regime, period=period, deadline=DEADLINE,
            owed=True, standing=standing, on_time=on_time, overdue=key == SILENT, answer_version=answer, score=score,
            document=facts(passed_at=passed_at) if passed_at else facts())  # fmt: skip
    lines = (
        (KEY, "completeness", "90", None),
        (KEY, "completeness", "-90", "KEY/1"),  # the corrected version gives more
        (KEY, "completeness", "100", None),
        (KEY, "timeliness", "-2.5", None),
        (LATE, "completeness", "0.1", None),
        (LATE, "timeliness", "0.2", None),
        (SILENT, "timeliness", "0", None),
    )
    for key, component, points, reverses in lines:
        put("scoring", "score-lines", obligation=key, points=points, component=component, reverses=reverses)
    put("notifier", "notifications", obligation=LATE, kind="reminder", state="skipped", reason="no_officer")
    put("notifier", "notifications", obligation=SILENT, kind="overdue", state="sent", reason=None)
    published = (
        ("intake", "registry", "registry.regime", "regime/KTXH-THANG/1"),
        ("intake", "registry", "registry.regime", "regime/KTXH-THANG/1"),
        ("intake", "submissions", "submission.received", KEY),
        ("validator", "verdicts", "verdict.reached", KEY),
        ("scoring", "compliance", "obligation.changed", SILENT),
        ("scoring", "compliance", "obligation.changed", SILENT),
        ("notifier", "notifications", "notification.recorded", SILENT),
    )
    for place, (service, topic, short, key) in enumerate(published, start=1):
        put(service, "events", id=place, event_id=_uuid(100 + place), type=f"vn.thongsuot.{short}.v1", topic=topic,
            key=key, published=True)  # fmt: skip
        for consumer, models in SUBSCRIPTIONS.items():
            # the first words on the regime and of the silent agency's obligation were compacted away
            if place not in (1, 5) and MODELS[f"vn.thongsuot.{short}.v1"] in models:
                put(consumer.split(".")[0], "inbox", consumer=consumer, event_id=_uuid(100 + place))
    return exports


def _answering(exports: Exports, page_rows: int = 2) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers["Authorization"] != "Bearer secret":
            return httpx.Response(401)
        service = request.url.host
        found = re.fullmatch(r"/v1/exports/([a-z-]+)", request.url.path)
        assert found
        rows = exports.get((service, found[1]))
        if rows is None:
            return httpx.Response(404)
        start = int(request.url.params.get("after") or 0)
        end = start + page_rows
        page = {"items": rows[start:end], "next": str(end) if end < len(rows) else None}
        return httpx.Response(200, json=page)

    return httpx.MockTransport(answer)


URLS = [part for service in SERVICES for part in (f"--{service}", f"http://{service}")]


def run(exports: Exports, *more: str, transport: httpx.BaseTransport | None = None) -> tuple[int, dict[str, Any]]:
    out = io.StringIO()
    arguments = [*URLS, "--token", "secret", "--settle-seconds", "0", "--json", *more]
    code = comparison.main(arguments, transport=transport or _answering(exports), out=out)
    return code, json.loads(out.getvalue())


def test_stores_that_agree_have_no_difference() -> None:
    code, said = run(agreeing())
    assert (code, said["differences"]) == (0, [])
    assert said["rows"]["intake/submissions"] == 3
    assert said["rows"]["scoring/score-lines"] == 7


Break = Callable[[Exports], None]


def _drop(service: str, export: str, place: int) -> Break:
    def change(exports: Exports) -> None:
        del exports[service, export][place]

    return change


def _set(service: str, export: str, place: int, **values: Any) -> Break:
    def change(exports: Exports) -> None:
        exports[service, export][place].update(values)

    return change


def _add(service: str, export: str, **row: Any) -> Break:
    def change(exports: Exports) -> None:
        exports[service, export].append(row)

    return change


def _unapplied(consumer: str) -> Break:
    def change(exports: Exports) -> None:
        service = consumer.split(".")[0]
        rows = exports[service, "inbox"]
        exports[service, "inbox"] = [row for row in rows if row["consumer"] != consumer]
        assert len(exports[service, "inbox"]) < len(rows)

    return change


def _unscored(exports: Exports) -> None:
    """All of a fulfilled obligation's lines are missing, and so is its score."""
    rows = exports["scoring", "score-lines"]
    exports["scoring", "score-lines"] = [row for row in rows if row["obligation"] != KEY]
    exports["scoring", "obligations"][0]["score"] = None


def _unmarked_beside_a_later_mark(exports: Exports) -> None:
    exports["scoring", "obligations"][2].update(overdue=False, document=facts())
    assert "passed_at" in exports["scoring", "obligations"][1]["document"]


def _awaiting_since_before_the_deadline(exports: Exports) -> None:
    """What was received in time and has no verdict yet keeps an obligation from being overdue."""
    agency, regime, period = SILENT.split("/")
    row = {"submission_id": _uuid(4), "obligation": SILENT, "agency": agency, "regime": regime, "period": period}
    exports["intake", "submissions"].append(row | {"version": 1, "received_at": DEADLINE, "nil": False, "status": None})


def _another(exports: Exports, version: int, received_at: str, outcome: str | None, *, nil: bool = False) -> None:
    """One more version of the obligation that is fulfilled in time by its version 2."""
    agency, regime, period = KEY.split("/")
    row = {"submission_id": _uuid(40 + version), "obligation": KEY, "version": version}
    exports["intake", "submissions"].append(
        row | {"agency": agency, "regime": regime, "period": period, "received_at": received_at, "nil": nil}
        | {"status": outcome}
    )  # fmt: skip
    if outcome is not None:
        exports["validator", "verdicts"].append(row | {"outcome": outcome})


def _received_earlier_under_a_later_number(exports: Exports) -> None:
    _another(exports, 3, "2026-01-16T11:00:00+07:00", "accepted")


def _a_nil_report_taken_before_one_with_figures(exports: Exports) -> None:
    _another(exports, 3, "2026-01-15T11:00:00+07:00", "accepted", nil=True)
    exports["scoring", "obligations"][0]["answer_version"] = 3


BREAKS: list[tuple[str, Break, str]] = [
    ("submission_without_verdict", _drop("validator", "verdicts", 0), KEY),
    ("verdict_without_submission", _drop("intake", "submissions", 2), LATE),
    ("status_unlike_verdict", _set("intake", "submissions", 2, status="received"), LATE),
    ("status_unlike_verdict", _set("intake", "submissions", 2, status=None), LATE),
    ("version_gap", _drop("intake", "submissions", 0), KEY),
    ("version_gap", _set("intake", "submissions", 0, version=2), KEY),
    ("obligation_unknown", _drop("scoring", "obligations", 0), KEY),
    ("standing_unlike_verdicts", _set("scoring", "obligations", 0, standing="returned"), KEY),
    ("standing_unlike_verdicts", _set("scoring", "obligations", 2, standing="awaiting_verdict"), SILENT),
    ("standing_unlike_verdicts", _set("validator", "verdicts", 2, outcome="returned"), LATE),
    ("on_time_unlike_receipts", _set("scoring", "obligations", 0, on_time=False), KEY),
    ("on_time_unlike_receipts", _set("scoring", "obligations", 1, on_time=True), LATE),
    ("on_time_unlike_receipts", _set("scoring", "obligations", 1, on_time=None), LATE),
    ("on_time_unlike_receipts", _set("intake", "submissions", 1, received_at="2026-01-19T10:00:01+00:00"), KEY),
    ("score_unlike_lines", _set("scoring", "obligations", 0, score="97.51"), KEY),
    ("score_unlike_lines", _set("scoring", "obligations", 2, score="1"), SILENT),
    ("score_unlike_lines", _drop("scoring", "score-lines", 5), LATE),
    ("score_line_without_obligation", _add("scoring", "score-lines", obligation="H99.9/X/2026", points="1",
        component="timeliness", reverses=None), "H99.9"),
    ("score_unlike_lines", _set("scoring", "obligations", 2, score=None), SILENT),
    ("answer_unlike_verdicts", _set("scoring", "obligations", 0, answer_version=1), KEY),
    ("answer_unlike_verdicts", _received_earlier_under_a_later_number, KEY),
    ("answer_unlike_verdicts", _a_nil_report_taken_before_one_with_figures, KEY),
    ("totals_unlike_recomputation", _set("scoring", "obligations", 1, on_time=True), "H99.102 / KTXH-THANG"),
    ("totals_unlike_recomputation", _set("scoring", "obligations", 2, overdue=False), "H99.103 / KTXH-THANG"),
    ("totals_unlike_recomputation", _set("scoring", "obligations", 1, overdue=True), "H99.102 / KTXH-THANG"),
    ("verdict_without_score", _unscored, KEY),
    ("verdict_without_score", _drop("scoring", "score-lines", 3), KEY),
    ("verdict_without_score", _drop("scoring", "score-lines", 4), LATE),
    ("verdict_without_score", _add("scoring", "score-lines", obligation=LATE, component="timeliness", points="-0.2",
                                   reverses="LATE/2"), LATE),
    ("overdue_unlike_receipts", _unmarked_beside_a_later_mark, SILENT),
    ("overdue_unlike_receipts", _set("scoring", "obligations", 1, overdue=True), LATE),
    ("overdue_unlike_receipts", _awaiting_since_before_the_deadline, SILENT),
    ("overdue_untold", _drop("notifier", "notifications", 1), SILENT),
    ("overdue_untold", _set("notifier", "notifications", 1, kind="escalation"), SILENT),
    ("overdue_untold", _set("notifier", "notifications", 1, state="skipped", reason=None), SILENT),
    ("overdue_untold", _set("notifier", "notifications", 1, obligation=LATE), SILENT),
    ("event_unsent", _add("intake", "outbox", event_id=_uuid(9), type="x", key=KEY), KEY),
    *[("event_lost", _unapplied(consumer), "") for consumer in SUBSCRIPTIONS],
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "spoil", "place"), BREAKS, ids=[f"{n}-{kind}" for n, (kind, _, _) in enumerate(BREAKS)]
)
def test_each_kind_of_difference_is_found_and_named(kind: str, spoil: Break, place: str) -> None:
    exports = agreeing()
    spoil(exports)
    code, said = run(exports)
    assert code == 1
    named = [difference for difference in said["differences"] if difference["kind"] == kind]
    assert named, said["differences"]
    assert any(difference["key"].startswith(place) for difference in named)
    assert all(difference["message"] and difference["message_en"] for difference in named)


def test_every_check_has_a_test_that_turns_it_red() -> None:
    assert {kind for kind, _, _ in BREAKS} == {check.kind for check in comparison.CHECKS}


@pytest.mark.parametrize("where", ["deferred-events", "dead-letters"])
def test_an_event_that_waits_or_is_dead_lettered_is_not_lost(where: str) -> None:
    exports = agreeing()
    _unapplied("scoring.follow")(exports)
    assert run(exports)[0] == 1
    for number in (103, 104):
        exports["scoring", where].append({"consumer": "scoring.follow", "event_id": _uuid(number)})
    assert run(exports) == (0, run(agreeing())[1] | {"rows": run(exports)[1]["rows"]})


@pytest.mark.parametrize("where", ["deferred-events", "dead-letters"])
def test_an_overdue_whose_event_waits_or_is_dead_lettered_is_not_untold(where: str) -> None:
    exports = agreeing()
    del exports["notifier", "notifications"][1]
    row = {"consumer": "notifier.compliance", "event_id": _uuid(106)}
    exports["notifier", "inbox"].remove(row)
    assert {difference["kind"] for difference in run(exports)[1]["differences"]} == {"event_lost", "overdue_untold"}
    exports["notifier", where].append(row | {"consumer": "notifier.other"})
    assert run(exports)[0] == 1
    exports["notifier", where].append(row)
    assert run(exports)[0] == 0


def test_what_follows_from_a_deferred_report_is_no_difference_until_it_is_released() -> None:
    """Its obligation cannot be opened yet: the rule of its regime leads nowhere, or no calendar covers its year."""
    exports = agreeing()
    for export in ("obligations", "score-lines"):
        exports["scoring", export] = [row for row in exports["scoring", export] if row["obligation"] != KEY]
    exports["scoring", "inbox"] = [
        row for row in exports["scoring", "inbox"] if row["event_id"] not in (_uuid(103), _uuid(104))
    ]
    found = {difference["kind"] for difference in run(exports)[1]["differences"]}
    assert found == {"obligation_unknown", "event_lost"}, "negative control"
    for number in (103, 104):
        exports["scoring", "deferred-events"].append({"consumer": "scoring.follow", "event_id": _uuid(number)})
    assert run(exports)[0] == 0
    # a report of somebody else that is missing is a difference all the same
    del exports["scoring", "obligations"][0]
    assert "obligation_unknown" in {difference["kind"] for difference in run(exports)[1]["differences"]}


def test_a_report_whose_form_cannot_be_compiled_yet_needs_no_verdict() -> None:
    exports = agreeing()
    del exports["validator", "verdicts"][0]
    exports["validator", "inbox"] = []
    exports["intake", "submissions"][0]["status"] = None
    kinds = {difference["kind"] for difference in run(exports)[1]["differences"]}
    assert "submission_without_verdict" in kinds, "negative control"
    exports["validator", "deferred-events"].append({"consumer": "validator.submissions", "event_id": _uuid(103)})
    left = {difference["kind"] for difference in run(exports)[1]["differences"]}
    assert "submission_without_verdict" not in left


def test_an_overdue_that_nobody_could_be_told_of_has_its_reason_in_the_ledger() -> None:
    exports = agreeing()
    exports["notifier", "notifications"][1].update(state="skipped", reason="no_officer:H99.103")
    assert run(exports)[0] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"owed": False},
        {"deadline": "2026-01-19T17:00:01+07:00"},
        {"document": facts(reliefs=[{"relief_id": "r", "status": "proposed"}])},
    ],
)
def test_what_is_not_owed_or_due_after_the_latest_mark_need_not_be_marked(change: dict[str, Any]) -> None:
    exports = agreeing()
    exports["scoring", "obligations"][2].update({"overdue": False, "score": None, "document": facts()} | change)
    exports["scoring", "score-lines"].pop()
    exports["notifier", "notifications"].pop()
    assert run(exports)[0] == 0


def test_a_report_nobody_asked_for_needs_no_score() -> None:
    exports = agreeing()
    _unscored(exports)
    exports["scoring", "obligations"][0]["owed"] = False
    assert run(exports)[0] == 0


@pytest.mark.parametrize("status", ["granted", "rejected"])
def test_a_relief_that_is_decided_holds_no_overdue_mark_back(status: str) -> None:
    exports = agreeing()
    relief = {"relief_id": "r"} | ({"status": status} if status != "granted" else {})
    exports["scoring", "obligations"][2].update(overdue=False, document=facts(reliefs=[relief]))
    assert "overdue_unlike_receipts" in {each["kind"] for each in run(exports)[1]["differences"]}


def test_a_later_nil_report_and_a_later_correction_change_no_answer() -> None:
    exports = agreeing()
    _another(exports, 3, "2026-01-15T11:00:00+07:00", "accepted", nil=True)
    _another(exports, 4, "2026-01-19T16:59:59.5+07:00", "returned")
    _another(exports, 5, "2026-01-20T10:00:00+07:00", "accepted")
    assert run(exports)[0] == 0


@pytest.mark.parametrize(
    ("score", "total", "in_force", "same"),
    [("0", None, None, False), (None, None, None, True), (None, "0", 1, False), (None, "0", 0, True),
     ("0", "0.0", 1, True), (None, "1", 0, False)],
)  # fmt: skip
def test_a_missing_score_is_no_score_of_zero(
    score: str | None, total: str | None, in_force: int | None, same: bool
) -> None:
    assert comparison.same_score(score, total, in_force) is same


def test_an_applied_event_of_another_consumer_does_not_count() -> None:
    exports = agreeing()
    _unapplied("scoring.follow")(exports)
    for number in (103, 104):
        exports["scoring", "inbox"].append({"consumer": "scoring.other", "event_id": _uuid(number)})
    assert run(exports)[0] == 1


def test_the_newest_word_of_a_compacted_key_must_have_arrived() -> None:
    exports = agreeing()
    exports["validator", "inbox"] = [row for row in exports["validator", "inbox"] if row["event_id"] != _uuid(102)]
    exports["validator", "inbox"].append({"consumer": "validator.registry", "event_id": _uuid(101)})
    code, said = run(exports)
    assert code == 1
    assert [difference["kind"] for difference in said["differences"]] == ["event_lost"]


def test_what_is_only_on_its_way_is_no_difference() -> None:
    exports = agreeing()
    moving = copy.deepcopy(exports)
    del moving["validator", "verdicts"][2]
    readings = {"verdicts": 0}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/verdicts"):
            readings["verdicts"] += 1
        now = moving if readings["verdicts"] <= 1 else exports
        return _answering(now, page_rows=100).handle_request(request)

    code, said = run({}, "--settle-seconds", "5", transport=httpx.MockTransport(answer))
    assert (code, said["differences"]) == (0, [])
    assert readings["verdicts"] == 2


def test_a_difference_that_stays_is_told_after_settling() -> None:
    exports = agreeing()
    _drop("validator", "verdicts", 0)(exports)
    assert run(exports, "--settle-seconds", "0.2")[0] == 1


def test_a_store_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "TRY_SECONDS", 0.0)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "validator":
            raise httpx.ConnectError("refused", request=request)
        return _answering(agreeing()).handle_request(request)

    code, said = run({}, transport=httpx.MockTransport(answer))
    assert code == 2
    assert "validator" in said["error"]
    assert "validator" in said["error_en"]


def test_a_wrong_token_is_told_at_once() -> None:
    code, said = run(agreeing(), "--token", "guess")
    assert code == 2
    assert "401" in said["error"]


def test_a_short_trouble_is_waited_out() -> None:
    answers = iter([httpx.Response(503)])

    def answer(request: httpx.Request) -> httpx.Response:
        return next(answers, None) or _answering(agreeing()).handle_request(request)

    assert run({}, transport=httpx.MockTransport(answer))[0] == 0


@pytest.mark.parametrize("change", [{"deadline": "2026-01-19T17:00:00"}, {"deadline": "soon"}])
def test_an_export_that_is_not_as_needed_is_not_taken_for_agreement(change: dict[str, Any]) -> None:
    exports = agreeing()
    exports["scoring", "obligations"][0].update(change)
    assert run(exports)[0] == 2
    del exports["scoring", "obligations"][0]["deadline"]
    assert run(exports)[0] == 2


def test_paging_that_stands_still_ends() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"items": [], "next": "same"})

    code, said = run({}, transport=httpx.MockTransport(answer))
    assert code == 2
    assert "no progress" in said["error_en"]


def test_the_result_reads_vietnamese_first() -> None:
    exports = agreeing()
    _drop("validator", "verdicts", 0)(exports)
    out = io.StringIO()
    arguments = [*URLS, "--token", "secret", "--settle-seconds", "0"]
    assert comparison.main(arguments, transport=_answering(exports), out=out) == 1
    lines = out.getvalue().splitlines()
    assert lines[0] == f"submission_without_verdict  {KEY}"
    assert "chưa có kết quả kiểm tra" in lines[1]
    assert "has no verdict" in lines[2]
    assert lines[-1].startswith("Số sai lệch / differences: ")
