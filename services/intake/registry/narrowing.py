"""Narrows the bounds of figures by the sums that bind them until nothing changes; pure and bounded in cost.

Values that it does not exclude within its cost count as possible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: limit on the digits that the validator reads in a figure
MAX_DIGITS = 38
#: limit on steps; a step narrows one figure by one sum
MAX_STEPS = 60_000

#: weights of figures whose weighted sum is zero within a tolerance; all values are multiples of one small unit
Balance = tuple[Mapping[int, int], int]


class Dead(Exception):
    """A figure has no value left, or a sum can no longer hold. `places`: the sums that together cause it."""

    def __init__(self, places: Sequence[int] = ()) -> None:
        super().__init__()
        self.places = places


class TooLong(Dead):
    """The cost limit is reached without a result."""


class Narrowing:
    """The bounds of every figure; `undo` takes back what was narrowed since a mark."""

    def __init__(self, sums: Sequence[Balance], rules_of: Sequence[Sequence[int]], grid: Sequence[int]) -> None:
        self._sums = sums
        self._rules_of = rules_of
        self._grid = grid
        self._steps = 0
        self._trail: list[tuple[int, int, int]] = []
        self._cause: dict[int, list[int]] = {}  # figure -> sums that narrowed it
        self.least = [-(100**MAX_DIGITS)] * len(grid)
        self.most = [100**MAX_DIGITS] * len(grid)

    def narrow(self, number: int, least: int, most: int) -> bool:
        """Narrow the figure to bounds on its grid. Returns whether that changed anything. Raises Dead."""
        step = self._grid[number]
        least, most = -(-least // step) * step, most // step * step
        least, most = max(least, self.least[number]), min(most, self.most[number])
        if least > most:
            raise Dead
        if (least, most) == (self.least[number], self.most[number]):
            return False
        self._trail.append((number, self.least[number], self.most[number]))
        self.least[number], self.most[number] = least, most
        return True

    def give_back(self, mark: int) -> None:
        """Undo the narrowing since the trail had this length."""
        while len(self._trail) > mark:
            number, least, most = self._trail.pop()
            self.least[number], self.most[number] = least, most

    def settle(self, rules: Sequence[int]) -> None:
        """Narrow by these sums, and by those that share a figure with them, until nothing changes. Raises Dead."""
        waiting = dict.fromkeys(rules)
        while waiting:
            place = next(iter(waiting))
            del waiting[place]
            weights, tolerance = self._sums[place]
            self._steps += len(weights)
            if self._steps > MAX_STEPS:
                raise TooLong
            lows = {n: w * (self.least[n] if w > 0 else self.most[n]) for n, w in weights.items()}
            highs = {n: w * (self.most[n] if w > 0 else self.least[n]) for n, w in weights.items()}
            low, high = sum(lows.values()), sum(highs.values())
            if low > tolerance or high < -tolerance:
                raise Dead(self._behind(place))
            for number, weight in weights.items():
                # weight · figure lies between the minimum and maximum that the other figures leave
                least, most = -tolerance - (high - highs[number]), tolerance - (low - lows[number])
                if weight < 0:
                    least, most = most, least
                try:
                    narrowed = self.narrow(number, _ceiling(least, weight), most // weight)
                except Dead:
                    raise Dead(self._behind(place)) from None
                if narrowed:
                    causes = self._cause.setdefault(number, [])
                    if place not in causes:
                        causes.append(place)
                    waiting.update(dict.fromkeys(self._rules_of[number]))

    def _behind(self, place: int) -> list[int]:
        """The sum and, transitively, those that narrowed its figures."""
        found = {place: None}
        ends = [place]
        while ends:
            for number in self._sums[ends.pop()][0]:
                for cause in self._cause.get(number, ()):
                    if cause not in found:
                        found[cause] = None
                        ends.append(cause)
        return list(found)


def _ceiling(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
