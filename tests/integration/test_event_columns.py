"""What is read as an event can be held by every follower: each model at its bounds goes through each real handler."""

from __future__ import annotations

import asyncio
import typing
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from services.intake.consumer import FOLLOW, NOTICES
from services.notifier.consumer import inbounds as notifier_inbounds
from services.notifier.planning.handlers import PlanningContext
from services.scoring.calendar.loading import calendar_loader
from services.scoring.consumer import inbounds as scoring_inbounds
from services.scoring.reference_data import Rules
from services.scoring.scores.policy.loading import policy_loader
from services.validator.consumer import inbounds as validator_inbounds
from services.validator.form_cache import FormCache
from services.validator.judging import Judging
from shared.consuming.applying import Applier, Inbound, Seen
from shared.consuming.batch import Batch, Event, Record
from shared.consuming.parsing import Bad, parse
from shared.contract.cloudevents import source_of
from shared.contract.events import MODELS, OWNERS, EventModel
from shared.contract.events.storable import FREE_TEXT, LARGEST_NUMBER, LONGEST_CODE_BYTES
from shared.contract.ids import new_id
from shared.postgres.database import Database, is_infrastructure
from shared.runtime.clock import SystemClock

NOW = datetime(2026, 1, 20, tzinfo=UTC)


def inbounds() -> dict[str, list[Inbound]]:
    clock = SystemClock()
    return {
        "intake": [FOLLOW, NOTICES],
        "validator": list(validator_inbounds(Judging(FormCache(10)), clock)),
        "scoring": list(scoring_inbounds(Rules(), clock)),
        "notifier": list(notifier_inbounds(PlanningContext(clock, clock, "thongsuot.example"))),
    }


PAIRS = [
    (service, inbound, model) for service, its in inbounds().items() for inbound in its for model in inbound.models
]


def value(name: str, hint: Any, largest: bool) -> Any:
    """The largest or smallest that may be read for a field."""
    options = [option for option in typing.get_args(hint) if option is not type(None)]
    origin = typing.get_origin(hint)
    match origin, hint:
        case typing.Literal, _:
            return options[-1 if largest else 0]
        case typing.Annotated, _:
            return value(name, options[0], largest)
        case _, _ if hint is int:
            return LARGEST_NUMBER if largest else (1 if "version" in name else 0)
        case _, _ if hint is bool:
            return largest
        case _, _ if hint is str:
            long = 100_000 if name in FREE_TEXT else LONGEST_CODE_BYTES // 4
            return ("\U0001d4d0" * long) if largest else ""
        case _, _ if hint is Decimal:
            return "9" * 100 if largest else "-0." + "0" * 90 + "1"
        case _, _ if hint is UUID:
            return str(new_id())
        case _, _ if hint is datetime or getattr(hint, "__name__", "") == "AwareDatetime":
            return "2999-12-31T23:59:59.999999-12:00" if largest else "1900-01-01T00:00:00+14:00"
        case _, _ if hint is date:
            return "2999-12-31" if largest else "1900-01-01"
        case _ if origin is tuple:
            return [value(name, options[0], largest)] * (2 if largest else 0)
        case _ if origin is dict:
            return {"A": value(name, options[1], largest)} if largest else {}
        case _, _ if origin is list:
            return [value(name, options[0], largest)] if largest else []
        case _ if isinstance(hint, type) and issubclass(hint, EventModel.__bases__[0]):
            return body(hint, largest)
        case _ if options:
            return value(name, options[0], largest) if largest else None
    raise AssertionError(f"no value for {name}: {hint}")


def body(model: Any, largest: bool) -> dict[str, Any]:
    hints = typing.get_type_hints(model, include_extras=True)
    return {name: found for name in model.model_fields if (found := value(name, hints[name], largest)) is not None}


def at_the_bounds(model: type[EventModel]) -> Iterator[EventModel]:
    """All largest and all smallest; bounds of the model's own are kept by falling back to the other."""
    for largest in (True, False):
        values = body(model, largest)
        if "obligation" in values:
            values["obligation"] = "a/b/" + "c" * (LONGEST_CODE_BYTES - 4)
        if "cutoff" in values:  # bounds of their own, tighter than any column
            del values["cutoff"], values["deadline"], values["form"]
            values["deadline"], values["form"] = {"rule": "on_request"}, {}
        if model.__name__ == "VerdictReached":
            values |= {"required_items": LARGEST_NUMBER, "present_items": 0, "findings": values.get("findings", [])}
        yield model.model_validate(values)


def event_of(model: EventModel, **changes: Any) -> Event[Any] | Bad:
    text = model.model_copy(update=changes).encode() if changes else model.encode()
    headers = [
        ("ce_type", model.TYPE.encode()),
        ("ce_id", str(new_id()).encode()),
        ("ce_source", source_of(OWNERS[model.TOPIC])),
    ]
    parsed = parse(Record(model.TOPIC, 0, 0, None, text, headers), {model.TYPE.encode(): type(model)})
    assert isinstance(parsed, Event | Bad)
    return parsed


@pytest.mark.parametrize(
    ("service", "inbound", "model"), PAIRS, ids=[f"{s}.{i.name} {m.__name__}" for s, i, m in PAIRS]
)
async def test_every_follower_can_hold_what_can_be_read(
    service: str, inbound: Inbound, model: type[EventModel], migrated_database: Callable[[str], str]
) -> None:
    database = Database(await asyncio.to_thread(migrated_database, service))
    try:
        if service == "scoring":
            await calendar_loader(database).start()
            await policy_loader(database, SystemClock()).start()
        for extreme in at_the_bounds(model):
            event = event_of(extreme)
            assert isinstance(event, Event), event
            async with database.transaction() as tx:
                await Applier(service, inbound).apply(tx, [event], [], Seen(1, NOW))
    finally:
        await database.close()


async def test_a_column_would_refuse_what_the_reading_refuses(migrated_database: Callable[[str], str]) -> None:
    """Negative control: past the reading, the database itself calls it bad, and the whole batch with it."""
    (inbound,) = (candidate for candidate in inbounds()["validator"] if candidate.name == "registry")
    model = next(at_the_bounds(MODELS["vn.thongsuot.registry.regime.v1"]))
    assert isinstance(event_of(model, version=LARGEST_NUMBER + 1), Bad)
    database = Database(await asyncio.to_thread(migrated_database, "validator"))
    try:
        past = Batch.of([model.model_copy(update={"version": LARGEST_NUMBER + 1})])
        async with database.engine.connect() as connection:
            with pytest.raises(DBAPIError) as caught:
                await inbound.handle(past, connection)
        assert not is_infrastructure(caught.value)
    finally:
        await database.close()
