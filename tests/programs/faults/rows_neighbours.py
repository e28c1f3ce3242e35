"""Rows 27 to 33: one agency, record, connection or regime misbehaves; a neighbour's reports are judged all the same.

Each misbehaviour is a small input that once stopped everybody.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
import psutil

from deploy.local.calls import call
from deploy.local.process import poll_until
from shared.contract.services import SERVICES
from shared.reports.limits import MAX_BODY_BYTES
from tests.programs.faults import people, raw
from tests.programs.faults.ground import Province, operate
from tests.programs.faults.invariants import CHECKS
from tests.programs.faults.matrix import Field, Unproved, row
from tests.programs.faults.neighbour import Neighbour
from tests.programs.faults.raw import Raw
from tests.programs.faults.sql import execute
from tests.programs.faults.stores import RECEIVED, Stores

HOSTILE = people.AGENCIES[0]
#: seconds that an endless misbehaviour goes on
GOES_ON_SECONDS = 15.0
#: connections of an agency that asks without pause
PESTERING = 8
#: size limit of the dead-letter topics in row 30, less than a record may have
SMALL_TOPIC_BYTES = 524_288


@contextmanager
def _neighbour(field: Field, province: Province) -> Iterator[Neighbour]:
    """Run a neighbour beside the block; at its end check its reports by I8, and the check against a spoiled ledger."""
    with Neighbour(province, field.ground.keys, field.seed) as neighbour:
        yield neighbour
        neighbour.wait_for(3)  # afterwards too
    ledger, stores = neighbour.ledger, Stores()
    field.result.wrongs.setdefault("I8", []).extend(CHECKS["I8"](ledger, stores))
    field.result.wrongs["I8"] += [f"refused: {refused[1:]}" for refused in ledger.refused]
    field.result.checked.add("I8")
    field.figure("neighbour's reports", len(ledger.judged_seconds))
    field.figure("slowest of them, s", round(max(ledger.judged_seconds.values()), 2))


def _control(field: Field, name: str, province: Province, act: Callable[[], object]) -> None:
    """Without the protection the same act must keep the neighbour waiting."""
    with Neighbour(province, field.ground.keys, field.seed) as neighbour:
        act()
        neighbour.wait_for(1)
    field.red(name, "I8", CHECKS["I8"](neighbour.ledger, Stores()))


def _post(province: Province, key: str, body: bytes) -> httpx.Response:
    headers = {
        "Authorization": f"Bearer {key}", "Content-Type": "application/json", "Idempotency-Key": str(uuid4()),
    }  # fmt: skip
    url = f"{province.stack.url('intake')}/v1/submissions"
    return httpx.post(url, content=body, headers=headers, timeout=30, trust_env=False)


def marks(count: int) -> str:
    """Return combining marks in descending class, which cost canonical ordering the most."""
    by_class: dict[int, str] = {}
    for code in range(0x300, 0x370):
        by_class.setdefault(unicodedata.combining(chr(code)), chr(code))
    ordered = [by_class[marks] for marks in sorted(by_class, reverse=True) if marks]
    repeats, more = divmod(count, len(ordered))
    return "".join(mark * (repeats + (place < more)) for place, mark in enumerate(ordered))


@row(
    "27",
    "reports whose narratives are long runs of combining marks",
    "I8",
    controls={"cost_without_bounds": ["I8"]},
)
def costly_reports(field: Field) -> None:
    with field.province() as province, _neighbour(field, province):
        answers = _post_costly(field, province)
        field.figure("answers to them", sorted(set(answers)))
        field.happened("costly reports posted", len(answers))
    if not field.controls:
        return
    with field.province(env={"FAULT_CONTROL": "cost_without_bounds"}) as province:
        _control(field, "cost_without_bounds", province, lambda: _post_costly(field, province))


def _post_costly(field: Field, province: Province) -> list[int]:
    text = "a" + marks(19_980)
    answers = []
    for serial, period in enumerate([*people.PERIODS, *people.PERIODS[:2]]):
        document = json.loads(people.make_body(field.dice, HOSTILE, period, 2_000_000 + serial))
        document["narratives"] = {"N01": text, **{f"X{n}": text for n in range(5)}}
        body = json.dumps(document, ensure_ascii=False).encode()
        if len(body) > MAX_BODY_BYTES:
            raise Unproved(f"a body of {len(body)} bytes cannot come in")
        answers.append(_post(province, field.ground.keys[HOSTILE], body).status_code)
    return answers


@row(
    "28",
    "refused bodies of 256 KiB of unknown members, and pages of a thousand, without pause",
    "I8",
    controls={"refusals_cost_nothing": ["I8"]},
)
def costly_refusals(field: Field) -> None:
    with field.province() as province, _neighbour(field, province):
        answers = _pester(field, province)
        field.figure("answers to them", sorted(set(answers)))
        field.happened("costly requests", len(answers))
    if not field.controls:
        return
    with field.province(service_env={"intake": {"FAULT_CONTROL": "refusals_cost_nothing"}}) as province:
        _control(field, "refusals_cost_nothing", province, lambda: _pester(field, province))


def _pester(field: Field, province: Province) -> list[int]:
    members = ",".join(f'"u{n:05d}":0' for n in range(MAX_BODY_BYTES // 12))
    body = ("{" + members + "}").encode()[: MAX_BODY_BYTES - 1]
    body = body[: body.rindex(b",")] + b"}"
    key, stop = field.ground.keys[HOSTILE], time.monotonic() + GOES_ON_SECONDS
    answers: list[int] = []
    url = f"{province.stack.url('intake')}/v1/obligations?limit=1000"

    def pester(read: bool) -> None:
        while time.monotonic() < stop:
            with contextlib.suppress(httpx.TransportError):
                if read:
                    answer = httpx.get(url, headers={"Authorization": f"Bearer {key}"}, timeout=30, trust_env=False)
                else:
                    answer = _post(province, key, body)
                answers.append(answer.status_code)

    threads = [threading.Thread(target=pester, args=(n % 2 == 0,)) for n in range(PESTERING)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def _silent_connections(port: int, count: int) -> list[socket.socket]:
    """Open silent connections, or send half a head; as many as possible."""
    held: list[socket.socket] = []
    for number in range(count):
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.settimeout(2)
        try:
            connection.connect(("127.0.0.1", port))
            if number % 2:
                connection.sendall(b"POST /v1/submissions HTTP/1.1\r\nHost: x\r\n")
        except OSError:
            connection.close()
            continue
        held.append(connection)
    return held


def _endless_head(port: int) -> None:
    """Send 64 MB of one header, as far as the service takes it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection, contextlib.suppress(OSError):
        connection.settimeout(20)
        connection.connect(("127.0.0.1", port))
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ")
        for _ in range(64):
            connection.sendall(b"a" * 1024 * 1024)
        connection.recv(1024)


@row(
    "29",
    "64 MB of header to each service, and more silent connections than it has descriptors",
    "I8",
    controls={"stock_server": ["I8"]},
)
def endless_connections(field: Field) -> None:
    with field.province() as province, _neighbour(field, province):
        field.happened("silent and half-said connections", _overwhelm(province))
    if not field.controls:
        return
    with field.province(env={"FAULT_CONTROL": "stock_server"}) as province:
        _control(field, "stock_server", province, lambda: _overwhelm(province))


def _overwhelm(province: Province) -> int:
    ports = {name: int(province.stack.url(name).rsplit(":", 1)[1]) for name in SERVICES}
    for port in ports.values():
        _endless_head(port)
    process = psutil.Process(province.component("intake").pid)
    limits = process.rlimit(psutil.RLIMIT_NOFILE)
    process.rlimit(psutil.RLIMIT_NOFILE, (300, limits[1]))
    held = _silent_connections(ports["intake"], 330)
    try:
        time.sleep(GOES_ON_SECONDS)
    finally:
        for connection in held:
            connection.close()
        process.rlimit(psutil.RLIMIT_NOFILE, limits)
    return len(held)


@row(
    "30",
    "dead-letter topics set to 512 KiB, and records of 1 MB that become letters",
    "I4",
    "I8",
    controls={"a_refused_row_holds_its_batch": ["I4"]},
)
def oversized_letters(field: Field) -> None:
    with field.province() as province:
        with _neighbour(field, province) as neighbour:
            sent = _send_huge(field, province)
            field.happened("records near the topic's limit", sent)
            if not poll_until(lambda: _letters(province) >= sent, 60):
                field.result.wrongs.setdefault("I4", []).append(f"{_letters(province)} of {sent} are dead letters")
            ledger = neighbour.ledger
        field.result.wrongs.setdefault("I4", []).extend(_left_in_outboxes(province, 60))
        field.result.checked.add("I4")
        field.figure("receipts", len(ledger.receipts))
    if not field.controls:
        return
    name = "a_refused_row_holds_its_batch"
    with field.province(env={"FAULT_CONTROL": name}) as province:
        sent = _send_huge(field, province)
        if not poll_until(lambda: _letters(province) >= sent, 60):
            raise Unproved("the records did not become letters")
        field.red(name, "I4", _left_in_outboxes(province, 10))


def _send_huge(field: Field, province: Province) -> int:
    """Lower the limits of dead-letter topics, as an operator might; as declared they take whatever can arrive."""
    topics = [f"{province.prefix}{name}.dlq" for name in SERVICES]
    call(lambda: raw.configure(field.ground.kafka_direct, topics, {"max.message.bytes": str(SMALL_TOPIC_BYTES)}))
    huge = []
    for topic in ("submissions", "verdicts", "registry"):
        for size in (1_048_000, 1_047_000):
            value = field.dice.randbytes(size)
            identifier = str(UUID(int=field.dice.getrandbits(128), version=4)).encode()
            headers = (("ce_id", identifier), ("ce_type", RECEIVED.encode()), ("ce_source", b"/stranger"))
            huge.append(Raw(topic, f"{HOSTILE}/TUAN/2026-W02".encode(), value, headers))
    return len(raw.send(field.ground.kafka_direct, province.prefix, huge))


def _letters(province: Province) -> int:
    query = 'SELECT count(DISTINCT (topic, partition, "offset")) FROM dead_letter'
    return sum(
        call(lambda url=url: execute(url, query))  # type: ignore[misc]
        for url in province.database_urls.values()
    )


def _left_in_outboxes(province: Province, seconds: float) -> list[str]:
    """A relay that stumbles over a letter again and again never empties its outbox."""

    def left() -> int:
        return sum(
            call(lambda url=url: execute(url, "SELECT count(*) FROM outbox"))  # type: ignore[misc]
            for url in province.database_urls.values()
        )

    return [] if poll_until(lambda: left() == 0, seconds) else [f"{left()} rows stay in the outboxes"]


@row(
    "31",
    "a regime that begins in 2010, and one agency's history of 107 months",
    "I8",
    controls={"halted_by_one_sender": ["I8"]},
)
def long_history(field: Field) -> None:
    with field.province() as province:
        _publish_old_regime(field, province)
        with _neighbour(field, province):
            answers = _post_history(field, province)
            field.figure("answers to them", sorted(set(answers)))
            field.happened("months posted", len(answers))
        halted = [name for name in SERVICES if "halted" in httpx.get(f"{province.stack.url(name)}/readyz").text]
        field.result.wrongs["I8"] += [f"{name} has halted" for name in halted]
        letters = call(lambda: execute(province.database_urls["scoring"], "SELECT count(*) FROM dead_letter"))
        if letters:
            field.result.wrongs["I8"].append(f"scoring cannot follow {letters} reports that intake admitted")
    if not field.controls:
        return
    with field.province(env={"FAULT_CONTROL": "halted_by_one_sender"}) as province:
        _publish_old_regime(field, province)

        def act() -> None:
            if (answers := set(_post_history(field, province))) != {201}:
                raise Unproved(f"intake does not admit the history: {sorted(answers)}")

        _control(field, "halted_by_one_sender", province, act)


def _publish_old_regime(field: Field, province: Province) -> None:
    regime = people.regime_document("CU", effective_from="2010-01-01")
    regime |= {"frequency": "monthly", "deadline": {"rule": "day_of_month", "day": 20, "hour": 17}}
    del regime["cutoff"]
    folder = people.write_registry(field.ground.directory / "old-regime", regimes=[people.regime_document(), regime])
    operate("intake", province.database_urls["intake"], "registry", "apply", str(folder), "--why", "a test")


def _post_history(field: Field, province: Province) -> list[int]:
    answers: list[int] = []
    months = [(year, month) for year in range(2010, 2019) for month in range(1, 13)][:107]
    for serial, (year, month) in enumerate(months):
        body = people.make_body(field.dice, HOSTILE, f"{year}-M{month:02d}", 3_000_000 + serial, "CU")
        answers.append(_patiently(province, field.ground.keys[HOSTILE], body))
    return answers


def _patiently(province: Province, key: str, body: bytes) -> int:
    """Return the answer once the agency's own limit lets the request in."""
    answer = _post(province, key, body)
    for _ in range(60):
        if answer.status_code != 429:
            break
        time.sleep(min(2.0, float(answer.headers.get("retry-after", "1"))))
        answer = _post(province, key, body)
    return answer.status_code


def _published(sample: Raw, **changes: Any) -> Raw:
    """Make a registry event from another one, past the registry's gate."""
    body = json.loads(sample.value or b"{}") | changes
    key = f"regime/{body['code']}/{body['regime_version']}".encode()
    headers = {**dict(sample.headers), "ce_id": str(uuid4()).encode(), "ce_subject": key}
    return Raw("registry", key, json.dumps(body, ensure_ascii=False).encode(), tuple(headers.items()))


def _a_regime(field: Field, province: Province) -> Raw:
    events = raw.read(field.ground.kafka_direct, province.prefix, ["registry"])
    return next(record for record in events if record.header("ce_type").startswith("vn.thongsuot.registry.regime"))


@row(
    "32",
    "regimes that nobody can plan, published past the gate",
    "I8",
    controls={"one_plan_fails_all": ["I8"]},
)
def unplannable_regimes(field: Field) -> None:
    with field.province() as province, _neighbour(field, province):
        field.happened("regimes published", _publish_unplannable(field, province))
        field.result.wrongs.setdefault("I8", []).extend(_good_one_not_generated(province, 30))
    if not field.controls:
        return
    with field.province(service_env={"scoring": {"FAULT_CONTROL": "one_plan_fails_all"}}) as province:
        _publish_unplannable(field, province)
        field.red("one_plan_fails_all", "I8", _good_one_not_generated(province, 15))


def _publish_unplannable(field: Field, province: Province) -> int:
    sample = _a_regime(field, province)
    rules: list[dict[str, Any]] = [
        {"rule": "day_of_month", "day": 20, "month_offset": 202601, "hour": 17},
        {"rule": "weekday", "weekday": 5, "week_offset": 999_999, "hour": 17},
        {"rule": "working_days_after_cutoff", "working_days": 999_999, "hour": 17},
    ]
    bad = [_published(sample, code=f"XAU{n}", deadline=rule) for n, rule in enumerate(rules)]
    bad.append(_published(sample, code="XAU9", remind_working_days=999_999))
    good = _published(sample, code="ZTOT")  # planned after those, in the order of codes
    return len(raw.send(field.ground.kafka_direct, province.prefix, [*bad, good]))


def _good_one_not_generated(province: Province, seconds: float) -> list[str]:
    url = province.database_urls["scoring"]
    query = "SELECT count(*) FROM obligations WHERE regime = 'ZTOT' AND owed"
    if poll_until(lambda: call(lambda: execute(url, query)) >= len(people.AGENCIES), seconds):
        return []
    return ["the good regime beside the bad ones was not generated"]


@row(
    "33",
    "a form that cannot be compiled: its reports wait until a newer record mends it",
    "I8",
    controls={"never_released": ["I8"]},
)
def mended_form(field: Field) -> None:
    with field.province() as province, _neighbour(field, province) as neighbour:
        field.result.wrongs.setdefault("I8", []).extend(_break_and_mend(field, province, neighbour, 30))
    if not field.controls:
        return
    with (
        field.province(service_env={"validator": {"FAULT_CONTROL": "never_released"}}) as province,
        Neighbour(province, field.ground.keys, field.seed) as neighbour,
    ):
        field.red("never_released", "I8", _break_and_mend(field, province, neighbour, 15))


def _break_and_mend(field: Field, province: Province, neighbour: Neighbour, seconds: float) -> list[str]:
    """Return what is still wrong `seconds` after the form was mended."""
    bootstrap = field.ground.kafka_direct
    sample = _a_regime(field, province)
    form = json.loads(sample.value or b"{}")["form"]
    broken = {**form, "sums": [{"code": "S01", "total": "T01", "terms": []}]}
    raw.send(bootstrap, province.prefix, [_published(sample, code="HONG", form=broken, version=1)])
    neighbour.wait_for(1)
    received = next(
        record
        for record in raw.read(bootstrap, province.prefix, ["submissions"])
        if record.header("ce_type") == RECEIVED
    )
    waiting = [_submission(field.dice, received, "HONG", period) for period in people.PERIODS[:3]]
    field.happened("reports under that form", len(raw.send(bootstrap, province.prefix, waiting)))
    url = province.database_urls["validator"]
    judged = "SELECT count(*) FROM verdict WHERE regime = 'HONG'"
    neighbour.wait_for(3)
    if call(lambda: execute(url, judged)):
        raise Unproved("they were judged by a form that cannot be compiled")
    raw.send(bootstrap, province.prefix, [_published(sample, code="HONG", form=form, version=2)])
    if poll_until(lambda: call(lambda: execute(url, judged)) == len(waiting), seconds):
        return []
    return ["the mended form does not release what waits for it"]


def _submission(dice: random.Random, sample: Raw, regime: str, period: str) -> Raw:
    body = json.loads(sample.value or b"{}")
    identifier = str(UUID(int=dice.getrandbits(128), version=4))
    key = f"{HOSTILE}/{regime}/{period}"
    body |= {"submission_id": identifier, "obligation": key, "agency": HOSTILE, "regime": regime, "period": period,
             "officer_id": people.officer(HOSTILE), "version": 1}  # fmt: skip
    headers = {**dict(sample.headers), "ce_id": str(uuid4()).encode(), "ce_subject": key.encode()}
    return Raw("submissions", key.encode(), json.dumps(body, ensure_ascii=False).encode(), tuple(headers.items()))
