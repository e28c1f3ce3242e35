"""Splits a batch that keeps failing the same way while the database answers, and defers the event that fails alone.

Parts share no key, so one can fail and wait while the others continue, and each key keeps its order. This module gives
up no event: a deferred event is tried again alone (releasing.py), where it delays no other. Failures that the batch
does not cause are waited out.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.errors import KafkaError
from sqlalchemy import exc as sa_exc
from sqlalchemy import text

from shared.consuming.batch import Event
from shared.consuming.parsing import Bad
from shared.consuming.preparing import Prepared, Refusal
from shared.contract.ids import new_id
from shared.postgres.database import Database, causes, sqlstate
from shared.runtime.trouble import InfrastructureTrouble

#: failures of one kind in a row, with an answering database after each, before a batch is split or an event that fails
#: alone is deferred
ALIKE_FAILURES = 2
#: into how many parts a part is split again
WAYS = 8
#: statement timeout of a part while other transactions are quick
PART_STATEMENT_MILLISECONDS = 5_000
#: how long the probe waits for the database to take a row
PROBE_SECONDS = 3.0

#: errors that no batch can cause: log-in, missing database, schema, read-only, disk full, connections, starting up
_OF_THE_SERVER = ("28", "3D", "42", "25006", "53100", "53300", "57P03")
_OF_THE_MACHINE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT})

_PROBE = text("INSERT INTO inbox (consumer, event_id) VALUES ('probe', :id)")
_SHORTER = text("""
    SELECT set_config('statement_timeout', least(nullif(setting::int, 0), :milliseconds)::text, true)
      FROM pg_settings WHERE name = 'statement_timeout'
""").bindparams(milliseconds=PART_STATEMENT_MILLISECONDS)


class _Undone(Exception):
    pass


def may_be_its_own(error: BaseException) -> bool:
    """Whether one batch can cause this infrastructure error, so that it fails while others succeed."""
    code = sqlstate(error)
    if code is not None:
        return not code.startswith(_OF_THE_SERVER)
    return not any(
        isinstance(link, InfrastructureTrouble | KafkaError | sa_exc.TimeoutError)
        or (isinstance(link, OSError) and link.errno in _OF_THE_MACHINE)
        for link in causes(error)
    )


def kind_of(error: BaseException) -> str:
    """The kind of a failure; two failures of one kind count as the same."""
    innermost = list(causes(error))[-1]
    return f"{type(innermost).__name__} {sqlstate(error) or ''}".strip()


async def answers(database: Database) -> bool:
    """Whether the database takes a row now; the row is rolled back."""
    try:
        async with asyncio.timeout(PROBE_SECONDS), database.transaction() as tx:
            await tx.execute(_PROBE, {"id": new_id()})
            raise _Undone
    except _Undone:
        return True
    except Exception:
        return False


@dataclass(slots=True)
class Progress:
    """Counts the subscription's successful transactions, to tell whether others succeed while one fails."""

    applied: int = 0


@dataclass(slots=True)
class Part:
    """A batch, or a part of one, until it is applied. `behind`: later events of its only key."""

    events: Sequence[Event[Any]]
    bad: Sequence[Bad] = ()
    records: int = 0
    whole: bool = True
    behind: Sequence[Event[Any]] = ()
    prepared: Prepared | None = None
    isolate: bool = False  # use savepoints to find the event at fault
    attempts: int = 0
    deferred: bool = False
    _kind: str = ""
    _alike: int = 0
    _progress: int = field(default=-1)  # as of its first failure

    def shortened(self, progress: Progress) -> Any:
        """The statement that limits a part's time, so that it does not hold up others; None for a whole batch."""
        if self.whole or (self._alike and progress.applied <= self._progress):
            return None
        return _SHORTER

    def failed(self, error: BaseException, answered: bool, progress: Progress, others: bool) -> list[Part]:
        """The parts to try next in its place. `answered`: the database took a row after the failure.

        An event alone is deferred only if others were applied since its first failure, or none are left: if all fail,
        the event is not the cause.
        """
        kind = kind_of(error)
        if not answered:
            self._alike = 0
            return [self]
        self._alike = self._alike + 1 if kind == self._kind else 1
        self._kind = kind
        if self._progress < 0:
            self._progress = progress.applied
        if len(self.events) > 1:
            return self.split() if self._alike >= ALIKE_FAILURES or not self.whole else [self]
        if self.events and self._alike >= ALIKE_FAILURES and (progress.applied > self._progress or not others):
            self.defer()
        return [self]

    def defer(self) -> None:
        """Defer its only event, to be applied alone later."""
        self.prepared = self.prepared or Prepared()
        self.prepared.alone.add(self.events[0].id)
        self.deferred = True

    def refuse(self, error: BaseException) -> None:
        """Dead-letter its only event, which cannot be prepared because of its data."""
        why = f"{type(error).__name__}: {error}"
        self.prepared = Prepared(refused={self.events[0].id: Refusal(type(error).__name__, why)})

    def split(self) -> list[Part]:
        """Split into parts without a common key; a part of one key into its first event with the others behind it."""
        by_key: dict[str, list[Event[Any]]] = {}
        for event in self.events:
            by_key.setdefault(event.key, []).append(event)
        if len(by_key) == 1:
            return [self._part(self.events[:1], self.bad, (*self.events[1:], *self.behind))]
        parts = []
        for place, keys in enumerate(_shares(list(by_key), WAYS)):
            events = [event for event in self.events if event.key in keys]
            parts.append(self._part(events, self.bad if place == 0 else (), ()))
        return parts

    def rest(self) -> list[Part]:
        """The part that follows once this one is applied."""
        return [self._part(self.behind, (), ())] if self.behind else []

    def _part(self, events: Sequence[Event[Any]], bad: Sequence[Bad], behind: Sequence[Event[Any]]) -> Part:
        return Part(
            events,
            bad,
            len(events) + len(bad),
            whole=False,
            behind=behind,
            prepared=self.prepared,
            isolate=self.isolate,
            attempts=self.attempts,
        )


def _shares(keys: list[str], ways: int) -> Iterator[set[str]]:
    size = -(-len(keys) // ways)
    for begin in range(0, len(keys), size):
        yield set(keys[begin : begin + size])
