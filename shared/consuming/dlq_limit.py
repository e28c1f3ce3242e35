"""Detects a broken deploy: most recent records are bad, and one cause hits most senders.

The bad records of a single sender, however many, become dead letters and a warning; they stop no consumer.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.consuming.batch import Event, Record
from shared.consuming.dead_letters import DeadLetter
from shared.contract.events import REGISTRY
from shared.telemetry.logging import get_logger

log = get_logger()

#: words that identify one thing: quoted text, and words with a digit. The pattern reads every character once; `\S*\d`
#: alone would start again at each letter of a word without digits.
_NAMES = re.compile(r"'[^']*'|\"[^\"]*\"|(?P<word>[^\s\d'\"]++)(?P<number>\d\S*)?|\d\S*")
_CAUSE_CHARACTERS = 200


def sender_of(record: Record) -> str:
    """The sender of the record: the agency in the obligation's key; for the registry, the entity."""
    key = (record.key or b"").decode("utf-8", "replace")
    return key if record.topic == REGISTRY else key.partition("/")[0]


def cause_of(letter: DeadLetter) -> str:
    """The cause that groups dead letters: the error's class and its text without names and numbers."""
    text = letter.error_text.removeprefix(f"{letter.error_class}: ")
    return f"{letter.error_class}: {_NAMES.sub(_nameless, text[:1000])}"[:_CAUSE_CHARACTERS]


def _nameless(match: re.Match[str]) -> str:
    return match["word"] if match["word"] and not match["number"] else "…"


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause with the number of records and of senders it hit."""

    cause: str
    records: int
    senders: int


class Absurd(Exception):
    """Too many records of too many senders are bad for it to be their fault: nothing of the batch is committed."""

    def __init__(self, rejected: int, records: int, causes: Sequence[Cause], letters: Sequence[DeadLetter]) -> None:
        super().__init__(f"{rejected} of {records} records are bad; most often: {causes[0].cause if causes else '?'}")
        self.rejected = rejected
        self.records = records
        self.causes = list(causes)
        self.letters = list(letters)


@dataclass(frozen=True, slots=True)
class Tally:
    """The tally of one batch: the number of records, their senders, and the sender and cause of each bad one."""

    records: int
    senders: frozenset[str]
    bad: tuple[tuple[str, str], ...]
    letters: Sequence[DeadLetter] = field(default=(), compare=False)

    @classmethod
    def of(
        cls,
        records: int,
        events: Iterable[Event[Any]],
        letters: Sequence[DeadLetter],
        excused: Callable[[Record], bool] = lambda record: False,
    ) -> Tally:
        """`excused`: records that an operator has ordered to be buried; they do not count."""
        counted = [letter for letter in letters if not excused(letter.record)]
        bad = tuple((sender_of(letter.record), cause_of(letter)) for letter in counted)
        senders = {sender_of(event.record) for event in events} | {sender for sender, _ in bad}
        return cls(records - (len(letters) - len(counted)), frozenset(senders), bad, tuple(counted))


class DlqLimit:
    """Halts if at least `least` of the last `window` records are bad and make up more than `share` of them, and one
    cause hit at least `senders` senders and more than `share` of all."""

    def __init__(self, *, window: int = 1000, least: int = 100, share: float = 0.5, senders: int = 5) -> None:
        self._recent: deque[Tally] = deque()
        self._window, self._least, self._share, self._senders = window, least, share, senders
        self._reported: set[str] = set()

    def check(self, tally: Tally) -> None:
        """Raise Absurd if this batch and the records before it exceed the limit."""
        if not tally.bad:
            return
        all_ = [*self._recent, tally]
        records, bad = sum(tally.records for tally in all_), [one for tally in all_ for one in tally.bad]
        if len(bad) < self._least or len(bad) <= self._share * records:
            return
        causes = _causes(bad)
        senders = len(frozenset[str]().union(*(tally.senders for tally in all_)))
        widest = max(cause.senders for cause in causes)
        if widest >= self._senders and widest > self._share * senders:
            raise Absurd(len(bad), records, causes[:10], tally.letters)

    def note(self, tally: Tally, consumer: str) -> int:
        """Add an applied batch; log senders whose records are mostly bad. Returns how many there are."""
        self._recent.append(tally)
        while sum(tally.records for tally in self._recent) > self._window and len(self._recent) > 1:
            self._recent.popleft()
        if not any(tally.bad for tally in self._recent):
            self._reported.clear()
            return 0
        of_sender = Counter(sender for tally in self._recent for sender, _ in tally.bad)
        flooding = {sender for sender, number in of_sender.items() if number >= self._least // 2}
        for sender in sorted(flooding - self._reported):
            log.error(
                "Many events of one sender are bad. They become dead letters; other senders are not affected.",
                action="consumer.sender_bad",
                consumer=consumer,
                sender=sender[:200],
                records=of_sender[sender],
                causes=[cause.cause for cause in _causes([b for e in self._recent for b in e.bad if b[0] == sender])][
                    :3
                ],
            )
        self._reported = flooding
        return len(flooding)

    def _causes_of(self, sender: str) -> list[str]:
        bad = [one for tally in self._recent for one in tally.bad if one[0] == sender]
        return [cause.cause for cause in _causes(bad)][:3]

    def clear(self) -> None:
        """Forget all records: an operator has resumed the consumer."""
        self._recent.clear()
        self._reported.clear()


def _causes(bad: Sequence[tuple[str, str]]) -> list[Cause]:
    """The most frequent first."""
    records = Counter(cause for _, cause in bad)
    senders = Counter(cause for _, cause in set(bad))
    return [Cause(cause, number, senders[cause]) for cause, number in records.most_common()]
