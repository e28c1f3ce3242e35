"""The committed AsyncAPI documents are what the models and the services' subscriptions say, link by link."""

from __future__ import annotations

import ast
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.consuming.batch import Record
from shared.consuming.dead_letters import DeadLetter, _evidence
from shared.contract import asyncapi
from shared.contract.asyncapi import FOLLOWS, document, document_text, file_of, sends
from shared.contract.cloudevents import encode_headers, headers_of
from shared.contract.events import MODELS, OWNERS, SubmissionReceived
from shared.contract.ids import new_id
from shared.telemetry.logging import TraceContext
from tests.architecture.tree import ROOT, dotted, keyword

SERVICES = sorted(FOLLOWS)


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


def _followed_in(source: str) -> set[str]:
    """Names of event models in the `models` of every Inbound in a source text, through tuples named there."""
    tree = ast.parse(source)
    named = {
        target.id: statement.value
        for statement in tree.body
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None
        for target in (statement.targets if isinstance(statement, ast.Assign) else [statement.target])
        if isinstance(target, ast.Name)
    }

    def names(node: ast.expr) -> set[str]:
        match node:
            case ast.Tuple(elts=items) | ast.List(elts=items):
                return {name for item in items for name in names(item)}
            case ast.Starred(value=value):
                return names(value)
            case ast.Name(id=name) if name in named:
                return names(named[name])
            case ast.Name() | ast.Attribute():
                return {dotted(node).rpartition(".")[2]}
            case _:
                raise AssertionError(f"line {node.lineno}: `models` is not a plain tuple of event models")

    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] == "Inbound":
            models = node.args[2] if len(node.args) > 2 else keyword(node, "models")
            assert models is not None, f"line {node.lineno}: Inbound without models="
            found |= names(models)
    return found


@pytest.mark.parametrize("path", sorted((ROOT / "services").glob("*/consumer.py")), ids=lambda path: path.parent.name)
def test_the_document_receives_what_the_service_subscribes_to(path: Any) -> None:
    said = {model.__name__ for model in FOLLOWS[path.parent.name]}
    assert _followed_in(path.read_text()) == said, (
        "correct shared.contract.asyncapi.FOLLOWS and run deploy.contracts write"
    )


def test_a_subscription_that_the_document_does_not_tell_is_found() -> None:
    source = """
REGISTRY = (AgencyRegistered, events.OfficerRegistered)
other = Inbound("other", (), (SubmissionReceived,), f)
follow = Inbound(name="follow", topics=(), models=(*REGISTRY, VerdictReached), handle=f)
"""
    assert _followed_in(source) == {
        "AgencyRegistered",
        "OfficerRegistered",
        "SubmissionReceived",
        "VerdictReached",
    }
    assert _followed_in(source) != {model.__name__ for model in asyncapi.FOLLOWS["intake"]}


def _sent_headers(kind: str, *, headers: str | None = None) -> dict[str, str]:
    row = {
        "event_id": new_id(),
        "type": kind,
        "key": "k",
        "created_at": datetime(2026, 1, 20, tzinfo=UTC),
        "traceparent": TraceContext.new().traceparent,
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
