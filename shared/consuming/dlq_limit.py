"""When so much is bad that the deploy must be broken: the same cause hits most senders, and most of what comes.

One sender's bad history, however long, is dead-lettered and reported; it stops nobody.
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

#: words that name one thing: what is quoted, and whatever has a digit in it. Every character is read once: `\S*\d`
#: alone would begin again at each letter of a word without digits.
_NAMES = re.compile(r"'[^']*'|\"[^\"]*\"|(?P<word>[^\s\d'\"]++)(?P<number>\d\S*)?|\d\S*")
_CAUSE_CHARACTERS = 200


def sender_of(record: Record) -> str:
    """Who is answerable for the record: the agency its obligation's key begins with; for the registry, its entity."""
    key = (record.key or b"").decode("utf-8", "replace")
    return key if record.topic == REGISTRY else key.partition("/")[0]


def cause_of(letter: DeadLetter) -> str:
    """What makes two dead letters the same fault: the error's class and its text, without names and numbers."""
    text = letter.error_text.removeprefix(f"{letter.error_class}: ")
    return f"{letter.error_class}: {_NAMES.sub(_nameless, text[:1000])}"[:_CAUSE_CHARACTERS]


def _nameless(match: re.Match[str]) -> str:
    return match["word"] if match["word"] and not match["number"] else "…"


@dataclass(frozen=True, slots=True)
class Cause:
    """A fault, how many records it hit, and of how many senders."""

    cause: str
    records: int
    senders: int


class Absurd(Exception):
    """So much is bad, of so many senders, that it is not theirs: nothing of the batch is committed."""

    def __init__(self, rejected: int, records: int, causes: Sequence[Cause], letters: Sequence[DeadLetter]) -> None:
        super().__init__(f"{rejected} of {records} records are bad; most often: {causes[0].cause if causes else '?'}")
        self.rejected = rejected
        self.records = records
        self.causes = list(causes)
        self.letters = list(letters)


@dataclass(frozen=True, slots=True)
class Tally:
    """One batch: how many records, of which senders, and of each bad one its sender and cause."""

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
        """`excused`: an operator has ordered these to be buried; they count for nothing."""
        counted = [letter for letter in letters if not excused(letter.record)]
        bad = tuple((sender_of(letter.record), cause_of(letter)) for letter in counted)
        senders = {sender_of(event.record) for event in events} | {sender for sender, _ in bad}
        return cls(records - (len(letters) - len(counted)), frozenset(senders), bad, tuple(counted))


class DlqLimit:
    """Halts when among the last `window` records at least `least` were bad and they are more than `share`, and one
    cause hit at least `senders` senders, and of all senders more than `share`."""

    def __init__(self, *, window: int = 1000, least: int = 100, share: float = 0.5, senders: int = 5) -> None:
        self._recent: deque[Tally] = deque()
        self._window, self._least, self._share, self._senders = window, least, share, senders
        self._told: set[str] = set()

    def check(self, tally: Tally) -> None:
        """Raises Absurd where this batch, with what came before, is past the limit."""
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
        """Remember an applied batch; log each sender whose records are mostly bad. Returns how many there are now."""
        self._recent.append(tally)
        while sum(tally.records for tally in self._recent) > self._window and len(self._recent) > 1:
            self._recent.popleft()
        if not any(tally.bad for tally in self._recent):
            self._told.clear()
            return 0
        of_sender = Counter(sender for tally in self._recent for sender, _ in tally.bad)
        flooding = {sender for sender, number in of_sender.items() if number >= self._least // 2}
        for sender in sorted(flooding - self._told):
            log.error(
                "Many events of one sender are bad; they become dead letters and its neighbours go on.",
                action="consumer.sender_bad",
                consumer=consumer,
                sender=sender[:200],
                records=of_sender[sender],
                causes=[cause.cause for cause in _causes([b for e in self._recent for b in e.bad if b[0] == sender])][
                    :3
                ],
            )
        self._told = flooding
        return len(flooding)

    def _causes_of(self, sender: str) -> list[str]:
        bad = [one for tally in self._recent for one in tally.bad if one[0] == sender]
        return [cause.cause for cause in _causes(bad)][:3]

    def clear(self) -> None:
        """Begin anew: an operator has looked."""
        self._recent.clear()
        self._told.clear()


def _causes(bad: Sequence[tuple[str, str]]) -> list[Cause]:
    """The most frequent first."""
    records = Counter(cause for _, cause in bad)
    senders = Counter(cause for _, cause in set(bad))
    return [Cause(cause, number, senders[cause]) for cause, number in records.most_common()]
