"""Parses a record into an event, a skipped one (not for this consumer) or a bad one with a reason.

An event must come on its own topic, from its owner, and fit the columns of every consumer. Parsing raises only
MemoryError: for any other exception FastStream would skip the whole batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from msgspec import Struct
from pydantic import ValidationError

from shared.consuming.batch import Event, Record
from shared.contract.cloudevents import source_of
from shared.contract.events import MODELS, OWNERS, EventModel
from shared.contract.events.storable import holds_nul, unstorable
from shared.contract.ids import read_id

_SOURCES = {topic: source_of(owner) for topic, owner in OWNERS.items()}


class Bad(Struct, frozen=True):
    """A record that is no valid event. `error_class` names the kind of fault, `why` describes it in a sentence."""

    record: Record
    error_class: str
    why: str
    event_id: UUID | None = None
    type: str = "unreadable"


class Skipped(Struct, frozen=True):
    """An event of a type that this consumer does not consume."""

    record: Record
    type: str


Parsed = Event[EventModel] | Bad | Skipped


def parse(record: Record, models: Mapping[bytes, type[EventModel]]) -> Parsed:
    """Parse a record in CloudEvents 1.0 binary mode. `models`: the consumed models by CloudEvents type."""
    try:
        headers = dict(record.headers)
        kind = headers.get("ce_type")
        if kind is None:
            return Bad(record, "MissingType", "the header ce_type is missing: not a CloudEvents message")
        model = models.get(kind)
        if model is None:
            name = kind.decode("utf-8", "replace")
            stray = MODELS.get(name)
            return Skipped(record, name) if stray is None or record.topic == stray.TOPIC else _stray(record, stray)
        return _event(record, headers, model)
    except MemoryError:
        raise  # the process is short of memory; the record may be fine
    except Exception as error:
        return Bad(record, type(error).__name__, f"the record cannot be read: {error!r}"[:2000])


def _stray(record: Record, model: type[EventModel], event_id: UUID | None = None) -> Bad:
    why = f"{model.TYPE} belongs on the topic {model.TOPIC}; it came on {record.topic}"
    return Bad(record, "WrongTopic", why[:2000], event_id, model.TYPE)


def _event(record: Record, headers: Mapping[str, bytes], model: type[EventModel]) -> Event[EventModel] | Bad:
    try:
        event_id = read_id(headers["ce_id"].decode())
    except (KeyError, ValueError):
        return Bad(record, "MissingId", "the header ce_id is missing or no UUID", type=model.TYPE)
    if record.topic != model.TOPIC:
        return _stray(record, model, event_id)
    owner = _SOURCES[model.TOPIC]
    if headers.get("ce_source") != owner:
        why = f"ce_source is {headers.get('ce_source')!r}; events of the topic {model.TOPIC} are {owner.decode()}'s"
        return Bad(record, "WrongSource", why[:2000], event_id, model.TYPE)
    if record.value is None:
        return Bad(record, "NullValue", "the event has no body", event_id, model.TYPE)
    try:
        body = model.model_validate_json(record.value)
    except ValidationError as error:
        # omit the inputs: a body may have a hundred thousand errors
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        places = "; ".join(f"/{'/'.join(map(str, e['loc']))}: {e['msg']}" for e in errors[:5])
        return Bad(
            record, "ValidationError", f"the body does not fit {model.TYPE}: {places}"[:2000], event_id, model.TYPE
        )
    if (why := unstorable(body)) or (holds_nul(record.value) and (why := "some text holds a NUL character")):
        return Bad(record, "OutOfRange", f"the body of {model.TYPE}: {why}"[:2000], event_id, model.TYPE)
    key = body.key
    if record.key is not None and record.key != key.encode():
        why = f"Kafka's key {record.key!r} is not the body's {key!r}: order per key would be lost"
        return Bad(record, "WrongKey", why[:2000], event_id, model.TYPE)
    if "\x00" in key:
        return Bad(record, "WrongKey", "the key holds a NUL character", event_id, model.TYPE)
    traceparent = headers.get("traceparent")
    return Event(
        event_id,
        model.TYPE,
        key,
        body,
        record,
        traceparent.decode("ascii", "replace") if traceparent else None,
    )
