"""What each service sends and receives, as AsyncAPI 3.0, made from the event models; the committed files equal it.

Source: AsyncAPI 3.0.0, https://www.asyncapi.com/docs/reference/specification/v3.0.0; CloudEvents Kafka binding 1.0.2.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shared.contract.cloudevents import DEAD_LETTER_TYPE
from shared.contract.events import MODELS, OWNERS, EventModel
from shared.contract.services import TITLES
from shared.contract.subscriptions import FOLLOWS

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = ROOT / "docs" / "asyncapi"
SCHEMAS_FROM_DIRECTORY = "../../shared/contract/schemas"

_CE_HEADERS: dict[str, Any] = {
    "ce_specversion": {"const": "1.0"},
    "ce_id": {
        "type": "string",
        "format": "uuid",
        "description": "UUIDv7; one event has one id, however often sent",
    },
    "ce_type": {"type": "string"},
    "ce_source": {"type": "string"},
    "ce_time": {"type": "string", "format": "date-time"},
    "ce_subject": {"type": "string", "description": "the record's key"},
}
_TRACEPARENT = {"type": "string", "description": "W3C Trace Context"}
_DLQ_HEADERS = (
    "dlq_consumer",
    "dlq_topic",
    "dlq_partition",
    "dlq_offset",
    "dlq_key",
    "dlq_headers",
    "dlq_error_class",
    "dlq_error",
    "dlq_attempts",
    "dlq_first_seen",
)
_HEADERS: dict[str, Any] = {
    "type": "object",
    "required": [*_CE_HEADERS, "content-type"],
    "properties": {**_CE_HEADERS, "content-type": {"const": "application/json"}, "traceparent": _TRACEPARENT},
}
_DEAD_LETTER_HEADERS: dict[str, Any] = {
    "type": "object",
    "description": "Where the record came from and why it was given up; the body is the record's, byte for byte.",
    "required": [*_CE_HEADERS, "content-type", *_DLQ_HEADERS],
    "properties": {
        **_CE_HEADERS,
        "content-type": {"const": "application/octet-stream"},
        "traceparent": _TRACEPARENT,
        **{name: {"type": "string"} for name in _DLQ_HEADERS},
    },
}


def sends(service: str) -> list[type[EventModel]]:
    """The events of the topics that the service owns."""
    return [model for model in MODELS.values() if OWNERS[model.TOPIC] == service]


def document(service: str) -> dict[str, Any]:
    """The AsyncAPI document of the service."""
    sent, followed = sends(service), list(FOLLOWS[service])
    title, description = TITLES[service]
    channels: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for model in [*sent, *followed]:
        channel = channels.setdefault(
            model.TOPIC,
            {
                "address": model.TOPIC,
                "description": f"Chủ sở hữu / owner: {OWNERS[model.TOPIC]}",
                "messages": {},
            },
        )
        channel["messages"][model.TYPE] = {"$ref": f"#/components/messages/{model.TYPE}"}
        messages[model.TYPE] = _message(model)
    dlq = f"{service}.dlq"
    channels[dlq] = {
        "address": dlq,
        "description": "Sự kiện hỏng, giữ nguyên bằng chứng / events given up, with their evidence",
        "messages": {"deadLetter": {"$ref": "#/components/messages/deadLetter"}},
    }
    messages["deadLetter"] = {
        "name": DEAD_LETTER_TYPE,
        "contentType": "application/octet-stream",
        "headers": _DEAD_LETTER_HEADERS,
        "payload": {"type": "string", "format": "binary"},
    }
    operations = {
        **_operations("send", sent),
        **_operations("receive", followed),
        "sendDeadLetters": {
            "action": "send",
            "channel": {"$ref": f"#/channels/{dlq}"},
            "messages": [{"$ref": f"#/channels/{dlq}/messages/deadLetter"}],
        },
    }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": "1", "description": description},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }


def _message(model: type[EventModel]) -> dict[str, Any]:
    return {
        "name": model.TYPE,
        "title": model.__name__,
        "summary": (model.__doc__ or "").strip().partition("\n")[0],
        "contentType": "application/json",
        "headers": _HEADERS,
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"{SCHEMAS_FROM_DIRECTORY}/{model.TYPE}.json"},
        },
        "bindings": {"kafka": {"key": {"type": "string", "description": "the event's subject"}}},
    }


def _operations(action: str, models: list[type[EventModel]]) -> dict[str, Any]:
    operations: dict[str, Any] = {}
    for model in models:
        operation = operations.setdefault(
            f"{action}{model.TOPIC.title()}",
            {"action": action, "channel": {"$ref": f"#/channels/{model.TOPIC}"}, "messages": []},
        )
        operation["messages"].append({"$ref": f"#/channels/{model.TOPIC}/messages/{model.TYPE}"})
    return operations


def document_text(service: str) -> str:
    """The committed file's text."""
    return json.dumps(document(service), ensure_ascii=False, indent=2) + "\n"


def file_of(service: str, directory: Path = DIRECTORY) -> Path:
    return directory / f"{service}.json"
