"""The committed AsyncAPI documents are what the models and the services' subscriptions say, link by link."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.consuming.batch import Record
from shared.consuming.dead_letters import DeadLetter, _evidence
from shared.contract.asyncapi import document, document_text, file_of, sends
from shared.contract.cloudevents import encode_headers, headers_of
from shared.contract.events import (
    MODELS,
    OWNERS,
    AgencyStaffing,
    EventModel,
    SharingGranted,
    SubmissionReceived,
)
from shared.contract.ids import new_id
from shared.contract.services import SERVICES
from shared.contract.subscriptions import FOLLOWS, SUBSCRIPTIONS
from shared.telemetry import tracing


@pytest.mark.parametrize("service", SERVICES)
def test_the_committed_document_is_the_generated_one(service: str) -> None:
    assert file_of(service).read_text(encoding="utf-8") == document_text(service), "python -m deploy.contracts write"


def _references(value: Any) -> list[str]:
    match value:
        case {"$ref": reference}:
            return [reference]
        case dict():
            return [found for inner in value.values() for found in _references(inner)]
        case list():
            return [found for inner in value for found in _references(inner)]
        case _:
            return []


@pytest.mark.parametrize("service", SERVICES)
def test_every_reference_leads_somewhere(service: str) -> None:
    whole = document(service)
    references = _references(whole)
    assert references
    for reference in references:
        if reference.startswith("#/"):
            target: Any = whole
            for step in reference[2:].split("/"):
                target = target[step]
        else:
            json.loads((file_of(service).parent / reference).read_text())


def test_every_event_is_sent_by_its_owner_alone() -> None:
    senders = {model.TYPE: [service for service in SERVICES if model in sends(service)] for model in MODELS.values()}
    assert senders == {model.TYPE: [OWNERS[model.TOPIC]] for model in MODELS.values()}


def test_no_service_follows_its_own_topics() -> None:
    assert [
        (service, model.TYPE) for service in SERVICES for model in FOLLOWS[service] if OWNERS[model.TOPIC] == service
    ] == []


def test_every_event_has_a_follower_and_every_subscription_a_service() -> None:
    # intake alone asks who may read whose reports, and who has no officer; others outside may read it on `registry`
    unfollowed: set[type[EventModel]] = {SharingGranted, AgencyStaffing}
    followed = set(MODELS.values()) - unfollowed
    assert {model for models in SUBSCRIPTIONS.values() for model in models} == followed
    assert {consumer.partition(".")[0] for consumer in SUBSCRIPTIONS} == set(SERVICES)


def test_the_document_receives_what_each_subscription_says() -> None:
    for consumer, models in SUBSCRIPTIONS.items():
        messages = document(consumer.partition(".")[0])["operations"]
        received = {
            message["$ref"].rpartition("/")[2]
            for operation in messages.values()
            if operation["action"] == "receive"
            for message in operation["messages"]
        }
        assert {model.TYPE for model in models} <= received, consumer


def _sent_headers(kind: str, *, headers: str | None = None) -> dict[str, str]:
    row = {
        "event_id": new_id(),
        "type": kind,
        "key": "k",
        "created_at": datetime(2026, 1, 20, tzinfo=UTC),
        "traceparent": tracing.traceparent(tracing.begin("test")),
        "headers": headers,
    }
    return {name: value.decode() for name, value in headers_of(row, b"/thongsuot/scoring")}


def _letter_evidence() -> str:
    record = Record("submissions", 0, 7, b"k", b"\xff", ())
    letter = DeadLetter(record, None, "unreadable", "MissingType", "no type", 1, datetime(2026, 1, 20, tzinfo=UTC))
    return encode_headers(_evidence("scoring.follow", letter, "no type", "[]"))


@pytest.mark.parametrize("message", [SubmissionReceived.TYPE, "deadLetter"])
def test_the_documented_headers_are_those_that_are_sent(message: str) -> None:
    evidence = _letter_evidence() if message == "deadLetter" else None
    documented = next(
        document(service)["components"]["messages"][message]
        for service in SERVICES
        if message in document(service)["components"]["messages"]
    )
    sent = _sent_headers(documented["name"], headers=evidence)
    schema = documented["headers"]
    assert set(sent) == set(schema["properties"])
    assert set(schema["required"]) == set(sent) - {"traceparent"}, "a row may have no trace"
    for name, value in sent.items():
        assert value == schema["properties"][name].get("const", value), name
    assert sent["content-type"] == documented["contentType"]
