"""How long to wait before the next attempt, the same everywhere: it doubles while trouble lasts, up to a bound.

It computes the pause and does not sleep: the caller is also woken by a stop, polls Kafka meanwhile, or may not wait
past a deadline. (That is why it is no library's retry decorator: those own both the loop and the sleep.)
"""

from __future__ import annotations

from random import Random

_chance = Random()  # noqa: S311 - no secret; of its own, so that nobody else's seed makes all wait alike


class Backoff:
    """The pauses of one sequence of attempts. Bounded: `0 < first_seconds`, none longer than `longest_seconds`.

    `spread` shortens each pause by up to this share, by chance: for those that would all come back at one moment.
    """

    def __init__(self, first_seconds: float, longest_seconds: float, *, spread: float = 0.0) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._spread = spread
        self._seconds = first_seconds
        self.failures = 0  # in a row

    def next_seconds(self) -> float:
        """After a failure: the pause before the next attempt. The one after it is twice as long."""
        seconds, self._seconds = self._seconds, min(self._seconds * 2, self._longest_seconds)
        self.failures += 1
        return min(seconds, self._longest_seconds) * _chance.uniform(1 - self._spread, 1)

    def reset(self) -> None:
        """After a success."""
        self._seconds, self.failures = self._first_seconds, 0
