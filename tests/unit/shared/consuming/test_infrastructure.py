"""The one line between trouble that is waited out and a fault of the data, for every kind of trouble we know."""

from __future__ import annotations

import errno
from typing import Any, NoReturn
from uuid import uuid4

import asyncpg
import pytest
from aiokafka.errors import KafkaConnectionError
from sqlalchemy import exc

from shared.consuming import subscription as consumer
from shared.consuming.applying import Inbound
from shared.consuming.batch import Batch, Record
from shared.consuming.parsing import parse
from shared.consuming.subscription import Subscription
from shared.contract.cloudevents import source_of
from shared.contract.events import SubmissionReceived
from shared.postgres.database import Database, Transaction, is_infrastructure
from shared.runtime.clock import SystemClock
from shared.runtime.settings import KafkaSettings
from shared.runtime.trouble import InfrastructureTrouble


def wrapped(original: BaseException) -> Exception:
    """As SQLAlchemy hands a driver's error on."""
    return exc.DBAPIError("SELECT 1", {}, original)


PASSING: list[BaseException] = [
    MemoryError(),
    OSError(errno.EMFILE, "Too many open files"),
    OSError(errno.ENOSPC, "No space left on device"),
    ConnectionResetError(),
    TimeoutError(),
    EOFError(),
    KafkaConnectionError(),
    InfrastructureTrouble("away"),
    asyncpg.DiskFullError("no space left on device"),
    asyncpg.DeadlockDetectedError("deadlock detected"),
    asyncpg.LockNotAvailableError("lock not available"),
    asyncpg.TooManyConnectionsError("too many clients already"),
    asyncpg.AdminShutdownError("terminating connection"),
    asyncpg.CannotConnectNowError("the database system is starting up"),
    asyncpg.QueryCanceledError("statement timeout"),
    exc.TimeoutError("QueuePool limit reached"),
]
LASTING: list[BaseException] = [
    ValueError("not a number"),
    KeyError("T01"),
    RecursionError(),
    asyncpg.UniqueViolationError("duplicate key"),
    asyncpg.CheckViolationError("violates check constraint"),
    asyncpg.NumericValueOutOfRangeError("out of range"),
    asyncpg.CharacterNotInRepertoireError("invalid byte sequence"),
]


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_trouble_that_passes_is_waited_out(error: BaseException) -> None:
    assert is_infrastructure(error)
    assert is_infrastructure(wrapped(error))


@pytest.mark.parametrize("error", LASTING, ids=repr)
def test_a_fault_of_the_data_is_not_waited_for(error: BaseException) -> None:
    assert not is_infrastructure(error)
    assert not is_infrastructure(wrapped(error))


def test_the_cause_behind_another_error_decides() -> None:
    error = RuntimeError("while reading a batch")
    error.__cause__ = MemoryError()
    assert is_infrastructure(error)


class Greedy(SubmissionReceived):
    """Whatever it is made of, there is no room for it."""

    @classmethod
    def model_validate_json(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise MemoryError


def test_an_event_that_memory_had_no_room_for_is_not_called_bad() -> None:
    source = ("ce_source", source_of("intake"))
    headers = [("ce_type", Greedy.TYPE.encode()), ("ce_id", str(uuid4()).encode()), source]
    record = Record("submissions", 0, 0, b"A/B/C", b"{}", headers)
    with pytest.raises(MemoryError):
        parse(record, {Greedy.TYPE.encode(): Greedy})


async def test_a_batch_that_memory_has_no_room_for_is_read_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handle(batch: Batch[Any], tx: Transaction) -> None:
        raise AssertionError("nothing of this batch is followed")

    inbound = Inbound("follow", ("submissions",), (SubmissionReceived,), handle)
    database = Database("postgresql://nobody:nothing@127.0.0.1:1/none")
    subscription = Subscription("scoring", inbound, database, KafkaSettings(), SystemClock())
    tries = []

    def short_of_memory_twice(record: Record, models: Any) -> Any:
        tries.append(record)
        if len(tries) <= 2:
            raise MemoryError
        return parse(record, models)

    monkeypatch.setattr(consumer, "parse", short_of_memory_twice)
    await subscription.process([Record("submissions", 0, 0, b"A/B/C", b"{}", [("ce_type", b"of.no.concern")])])
    await database.close()
    assert len(tries) == 3
