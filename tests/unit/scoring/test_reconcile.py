"""Each kind of difference turns reconcile red, and four stores that agree leave it green."""

from __future__ import annotations

import copy
import io
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

import httpx
import pytest

import services.intake.consumer as intake
import services.notifier.consumer as notifier
import services.scoring.consumer as scoring
import services.validator.consumer as validator
from services.scoring import reconcile
from shared.applying import Inbound
from shared.events import MODELS, OWNERS

Exports = dict[tuple[str, str], list[dict[str, Any]]]

KEY = "H99.101/KTXH-THANG/2026-M01"
LATE = "H99.102/KTXH-THANG/2026-M01"
SILENT = "H99.103/KTXH-THANG/2026-M01"
DEADLINE = "2026-01-19T17:00:00+07:00"


def _uuid(number: int) -> str:
    return f"01900000-0000-7000-8000-{number:012d}"


def agreeing() -> Exports:
    """A small province in which all agrees: a correction in time, an accepted late report, a silent agency."""
    exports: Exports = {}

    def put(service: str, export: str, **row: Any) -> None:
        exports.setdefault((service, export), []).append(row)

    for service in OWNERS.values():
        for export in ("events", "outbox", "waiting", "dead-letters", "inbox"):
            exports.setdefault((service, export), [])

    def submission(number: int, key: str, version: int, received_at: str, outcome: str) -> None:
        agency, regime, period = key.split("/")
        put("intake", "submissions", submission_id=_uuid(number), obligation=key, agency=agency, regime=regime,
            period=period, version=version, received_at=received_at, status=outcome)  # fmt: skip
        put("validator", "verdicts", submission_id=_uuid(number), obligation=key, version=version, outcome=outcome)

    submission(1, KEY, 1, "2026-01-16T10:00:00.000001+07:00", "returned")
    submission(2, KEY, 2, "2026-01-19T10:00:00+00:00", "accepted")  # the very moment of the deadline
    submission(3, LATE, 1, "2026-01-19T17:00:00.000001+07:00", "accepted")
    for key, standing, on_time, score in (
        (KEY, "fulfilled", True, "97.50"),
        (LATE, "fulfilled", False, "0.3"),
        (SILENT, "nothing_sent", None, "0"),
    ):
        agency, regime, period = key.split("/")
        put("scoring", "obligations", obligation=key, agency=agency, regime=regime, period=period, deadline=DEADLINE,
            standing=standing, on_time=on_time, score=score)  # fmt: skip
    for key, points in ((KEY, "100"), (KEY, "-2.5"), (LATE, "0.1"), (LATE, "0.2")):
        put("scoring", "score-lines", obligation=key, points=points)
    published = (
        ("intake", "registry", "registry.regime", "regime/KTXH-THANG/1"),
        ("intake", "registry", "registry.regime", "regime/KTXH-THANG/1"),
        ("intake", "submissions", "submission.received", KEY),
        ("validator", "verdicts", "verdict.reached", KEY),
        ("scoring", "compliance", "obligation.overdue", SILENT),
        ("scoring", "compliance", "score.changed", SILENT),
        ("notifier", "notifications", "notification.recorded", SILENT),
    )
    for place, (service, topic, short, key) in enumerate(published, start=1):
        put(service, "events", id=place, event_id=_uuid(100 + place), type=f"vn.thongsuot.{short}.v1", topic=topic,
            key=key, published=True)  # fmt: skip
        for consumer, types in reconcile.SUBSCRIPTIONS.items():
            if short in types and place != 1:  # the first word on the regime was compacted away
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


URLS = [part for service in reconcile.SERVICES for part in (f"--{service}", f"http://{service}")]


def run(exports: Exports, *more: str, transport: httpx.BaseTransport | None = None) -> tuple[int, dict[str, Any]]:
    out = io.StringIO()
    arguments = [*URLS, "--token", "secret", "--settle-seconds", "0", "--json", *more]
    code = reconcile.main(arguments, transport=transport or _answering(exports), out=out)
    return code, json.loads(out.getvalue())


def test_stores_that_agree_have_no_difference() -> None:
    code, said = run(agreeing())
    assert (code, said["differences"]) == (0, [])
    assert said["rows"]["intake/submissions"] == 3
    assert said["rows"]["scoring/score-lines"] == 4


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
    ("score_unlike_lines", _drop("scoring", "score-lines", 3), LATE),
    ("score_line_without_obligation", _add("scoring", "score-lines", obligation="H99.9/X/2026", points="1"), "H99.9"),
    ("totals_unlike_recomputation", _set("scoring", "obligations", 1, on_time=True), "H99.102 / KTXH-THANG"),
    ("event_unsent", _add("intake", "outbox", event_id=_uuid(9), type="x", key=KEY), KEY),
    *[("event_lost", _unapplied(consumer), "") for consumer in reconcile.SUBSCRIPTIONS],
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "spoil", "place"), BREAKS, ids=[f"{n}-{kind}" for n, (kind, _, _) in enumerate(BREAKS)]
)
def test_each_kind_of_difference_is_found_and_named(kind: str, spoil: Break, place: str) -> None:
    exports = agreeing()
    spoil(exports)
    code, said = run(exports)
    assert code == 1
    named = [each for each in said["differences"] if each["kind"] == kind]
    assert named, said["differences"]
    assert any(each["key"].startswith(place) for each in named)
    assert all(each["message"] and each["message_en"] for each in named)


def test_every_check_has_a_test_that_turns_it_red() -> None:
    assert {kind for kind, _, _ in BREAKS} == {check.kind for check in reconcile.CHECKS}


@pytest.mark.parametrize("where", ["waiting", "dead-letters"])
def test_an_event_that_waits_or_is_dead_lettered_is_not_lost(where: str) -> None:
    exports = agreeing()
    _unapplied("scoring.follow")(exports)
    assert run(exports)[0] == 1
    for number in (103, 104):
        exports["scoring", where].append({"consumer": "scoring.follow", "event_id": _uuid(number)})
    assert run(exports) == (0, run(agreeing())[1] | {"rows": run(exports)[1]["rows"]})


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
    assert [each["kind"] for each in said["differences"]] == ["event_lost"]


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
    monkeypatch.setattr(reconcile, "TRY_SECONDS", 0.0)

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
    assert reconcile.main(arguments, transport=_answering(exports), out=out) == 1
    lines = out.getvalue().splitlines()
    assert lines[0] == f"submission_without_verdict  {KEY}"
    assert "chưa có kết quả kiểm tra" in lines[1]
    assert "has no verdict" in lines[2]
    assert lines[-1].startswith("Số sai lệch / differences: ")


def test_all_subscribed_types_exist_and_every_type_but_the_notifiers_has_a_reader() -> None:
    read = {f"vn.thongsuot.{short}.v1" for types in reconcile.SUBSCRIPTIONS.values() for short in types}
    assert read <= set(MODELS)
    assert set(MODELS) - read == {"vn.thongsuot.notification.recorded.v1"}


def test_the_table_of_subscriptions_is_what_the_services_subscribe_to() -> None:
    """The doors only close over what they are given, so nothing real is needed to read their signatures."""
    nothing: Any = None
    doors: dict[str, Iterable[Inbound]] = {
        "intake": [intake.FOLLOW],
        "validator": validator.inbounds(nothing, nothing),
        "scoring": scoring.inbounds(nothing),
        "notifier": notifier.inbounds(nothing),
    }
    subscribed = {
        f"{service}.{inbound.name}": {model.TYPE for model in inbound.models}
        for service, inbounds in doors.items()
        for inbound in inbounds
    }
    table = {name: {f"vn.thongsuot.{short}.v1" for short in types} for name, types in reconcile.SUBSCRIPTIONS.items()}
    assert table == subscribed
