"""An event is taken from its own topic, as its owner's, and if every follower can hold it; else it is bad."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY as SERIES

from shared.consuming.applying import Inbound
from shared.consuming.batch import Batch, Event, Record
from shared.consuming.parsing import Bad, Skipped, parse
from shared.consuming.subscription import Subscription
from shared.contract.cloudevents import source_of
from shared.contract.events import MODELS, SUBMISSIONS, EventModel, SubmissionReceived, VerdictReached
from shared.contract.events.base import ExactDecimal, Model
from shared.postgres.database import Database, Transaction
from shared.runtime.clock import SystemClock
from shared.runtime.settings import KafkaSettings

BOTH: dict[bytes, type[EventModel]] = {
    SubmissionReceived.TYPE.encode(): SubmissionReceived,
    VerdictReached.TYPE.encode(): VerdictReached,
}


def received(**changes: Any) -> SubmissionReceived:
    values: dict[str, Any] = {
        "submission_id": uuid4(), "obligation": "H99.01/BC/2026-M01", "agency": "H99.01", "regime": "BC",
        "regime_version": 1, "period": "2026-M01", "version": 1, "officer_id": "o1",
        "received_at": datetime(2026, 1, 15, tzinfo=UTC), "sha256": "0" * 64,
    }  # fmt: skip
    return SubmissionReceived(**{**values, **changes})


def record(body: SubmissionReceived, topic: str = SUBMISSIONS, **headers: bytes) -> Record:
    named = {"ce_type": body.TYPE.encode(), "ce_id": str(uuid4()).encode(), "ce_source": source_of("intake"), **headers}
    return Record(topic, 0, 0, body.key.encode(), body.encode(), list(named.items()))


def why(body: SubmissionReceived, topic: str = SUBMISSIONS, **headers: bytes) -> str:
    parsed = parse(record(body, topic, **headers), BOTH)
    assert isinstance(parsed, Bad), parsed
    return parsed.error_class


def test_what_is_as_it_should_be_is_an_event() -> None:
    assert isinstance(parse(record(received()), BOTH), Event)


def test_a_verdict_on_submissions_is_refused_also_by_who_does_not_follow_verdicts() -> None:
    stray = record(received(), ce_type=VerdictReached.TYPE.encode())
    for models in (BOTH, {SubmissionReceived.TYPE.encode(): SubmissionReceived}):
        parsed = parse(stray, models)
        assert isinstance(parsed, Bad)
        assert parsed.error_class == "WrongTopic"


def test_a_type_that_nobody_knows_is_passed_by() -> None:
    assert isinstance(parse(record(received(), ce_type=b"vn.thongsuot.unheard.of.v9"), BOTH), Skipped)


@pytest.mark.parametrize("source", [b"/thongsuot/validator", b"/stranger", b""])
def test_only_the_topics_owner_is_believed(source: bytes) -> None:
    assert why(received(), ce_source=source) == "WrongSource"


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 0},
        {"version": -1},
        {"version": 2**31},
        {"regime_version": 0},
        {"received_at": datetime(1, 1, 1, tzinfo=UTC)},
        {"received_at": datetime(9999, 12, 31, tzinfo=UTC)},
        {"officer_id": "x" * 1001},
        {"officer_id": "\U0001d4d0" * 251},
        {"narratives": {"N": "a\x00b"}},
        {"narratives": {"a\x00b": "n"}},
    ],
    ids=repr,
)
def test_what_no_column_could_hold_is_refused(changes: dict[str, Any]) -> None:
    assert why(received(**changes)) == "OutOfRange"


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2**31 - 1},
        {"officer_id": "x" * 1000},
        {"narratives": {"N": "\\u0000 is how JSON writes it"}},
        {"narratives": {"N": "x" * 300_000}},
    ],
    ids=lambda changes: repr(changes)[:40],
)
def test_what_every_column_can_hold_is_read(changes: dict[str, Any]) -> None:
    assert isinstance(parse(record(received(**changes)), BOTH), Event)


class Figure(Model):
    amount: ExactDecimal


@pytest.mark.parametrize("text", ["1E+999999999", "0E+999999999", "1E-999999999"])
def test_a_decimal_that_would_be_written_out_as_a_gigabyte_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="more than 100 digits"):
        Figure.model_validate({"amount": text})


async def test_invented_types_are_one_series_whatever_they_are_called() -> None:
    async def handle(batch: Batch[Any], tx: Transaction) -> None:
        raise AssertionError("nothing of this batch is followed")

    database = Database("postgresql://nobody:nothing@127.0.0.1:1/none")
    inbound = Inbound("parsing", (SUBMISSIONS,), (SubmissionReceived,), handle)
    subscription = Subscription("test", inbound, database, KafkaSettings(), SystemClock())
    invented = [f"vn.thongsuot.invented.v{number}".encode() for number in range(200)]
    await subscription.process([record(received(), ce_type=kind) for kind in invented])
    await database.close()
    (family,) = (metric for metric in SERIES.collect() if metric.name == "thongsuot_consumer_skipped")
    types = {sample.labels["type"] for sample in family.samples if sample.labels["group"] == "test.parsing"}
    assert types <= {*MODELS, "other"}
    assert SERIES.get_sample_value(
        "thongsuot_consumer_skipped_total", {"group": "test.parsing", "type": "other"}
    ) == len(invented)
