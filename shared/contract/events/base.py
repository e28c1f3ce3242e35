"""Every event is a frozen model with a type, a topic and a key; models only ever grow.

No field leaves and none becomes required. On Kafka an event is CloudEvents 1.0 in binary mode: the attributes are
headers, the body is JSON, decimals are strings.
Source: CloudEvents 1.0, Kafka protocol binding 1.0.2 (binary content mode).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, PlainSerializer

REGISTRY = "registry"
SUBMISSIONS = "submissions"
VERDICTS = "verdicts"
COMPLIANCE = "compliance"
NOTIFICATIONS = "notifications"

#: the largest body of an event: topics take messages of 1 MiB (deploy/kafka/topics.yaml), key and headers need room
MAX_EVENT_BYTES = 1024 * 1024 - 16 * 1024

#: topic -> the service that owns (publishes) it; nobody else produces to it
OWNERS: dict[str, str] = {
    REGISTRY: "intake",
    SUBMISSIONS: "intake",
    VERDICTS: "validator",
    COMPLIANCE: "scoring",
    NOTIFICATIONS: "notifier",
}


def _exact(value: object) -> object:
    if isinstance(value, float):
        raise ValueError("a float cannot carry an exact decimal; give a string")
    return value


def _plain(value: Decimal | str) -> str:
    """Never with an exponent. A default is written as the text that it is, which OpenAPI documents show."""
    return value if isinstance(value, str) else format(value, "f")


#: digits before or after the point; `1E+999999999` is twelve bytes that would be written out as a gigabyte
MOST_DIGITS = 100


def _written_out(value: Decimal) -> Decimal:
    if value.is_finite() and max(value.adjusted(), abs(int(value.as_tuple().exponent))) > MOST_DIGITS:
        raise ValueError(f"a decimal of more than {MOST_DIGITS} digits")
    return value


#: An exact decimal: a string in JSON, never a float.
ExactDecimal = Annotated[
    Decimal,
    BeforeValidator(_exact),
    AfterValidator(_written_out),
    PlainSerializer(_plain, return_type=str, when_used="json"),
]

#: A moment with its offset, ISO 8601 in JSON.
Moment = AwareDatetime


class Model(BaseModel):
    """A frozen value inside an event. Unknown fields of a newer producer are ignored by an older reader."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_timedelta="iso8601")

    @classmethod
    def trusted(cls, **values: Any) -> Self:
        """An instance of values that fit because they are ours: nothing is checked or converted, no default filled in.

        Validating what was just decided costs more than deciding it. Give every field; tests validate the results.
        """
        made = cls.__new__(cls)
        for name, value in (
            ("__dict__", values),
            ("__pydantic_fields_set__", set(values)),
            ("__pydantic_extra__", None),
            ("__pydantic_private__", None),
        ):
            object.__setattr__(made, name, value)
        return made


class EventModel(Model):
    """The body of an event.

    TYPE is the CloudEvents type, TOPIC the owner's topic; `key` is the partition key and the CloudEvents subject.
    """

    TYPE: ClassVar[str]
    TOPIC: ClassVar[str]

    @property
    def key(self) -> str:
        """Partition key: all events with one key keep their order."""
        raise TypeError(f"{type(self).__name__} has no key")

    def encode(self) -> bytes:
        """The body as UTF-8 JSON."""
        return self.model_dump_json(exclude_none=True).encode()
