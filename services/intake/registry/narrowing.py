"""Bounds of figures, narrowed by the sums that bind them until nothing changes: what no figure can be is found out.

Pure, and bounded in cost: what is not found within it counts as possible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: digits the validator reads in one figure
MAX_DIGITS = 38
#: looks at one figure in one sum
MAX_STEPS = 60_000

#: weights of figures whose sum lies within a tolerance of zero; all in whole multiples of one small unit
Balance = tuple[Mapping[int, int], int]


class Dead(Exception):
    """No value is left for a figure, or a sum cannot hold any more. `places`: the sums that say so together."""

    def __init__(self, places: Sequence[int] = ()) -> None:
        super().__init__()
        self.places = places


class TooLong(Dead):
    """The cost is used up; nothing is known."""


class Narrowing:
    """Bounds of every figure; what was narrowed since a mark can be given back."""

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
        """Keep the figure within bounds, on its grid; whether that changed anything. Raises Dead."""
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
        """Undo what was narrowed since the trail had this length."""
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
                # weight · figure lies between what the others leave at most and at least
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
        """The sum, and those that narrowed its figures, and so on."""
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
