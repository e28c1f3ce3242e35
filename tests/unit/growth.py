"""How the cost of a pure function grows with its input: linear work and work of the square are told apart by growth.

Never by how long anything takes: a machine may be busy or slow.
"""

from __future__ import annotations

from collections.abc import Callable

from shared.runtime.cpu import work_seconds

#: four times the input: linear work takes 4 times as long, work of the square 16 times. Halfway between, by ratio
SQUARE_FROM = 8.0
ROUNDS = 5
#: a neighbour on the machine can spoil all of these; work of the square stays work of the square in more of them
MOST_ROUNDS = 12
#: a shorter measurement is repeated until it takes so long: the clock's own cost must not count
LEAST_SECONDS = 0.002


def growth(work: Callable[[str], object], make: Callable[[int], str], count: int) -> float:
    """How many times as much CPU of this thread four times the input takes; the least of several rounds, in turns."""
    short, long = make(count), make(4 * count)
    repeats = 1
    while _seconds(work, short, repeats) < LEAST_SECONDS and repeats < 10_000:
        repeats *= 2
    least_short = least_long = float("inf")
    for done in range(1, MOST_ROUNDS + 1):
        least_short = min(least_short, _seconds(work, short, repeats))
        least_long = min(least_long, _seconds(work, long, repeats))
        if done >= ROUNDS and least_long < SQUARE_FROM * least_short:
            break
    return least_long / least_short


def _seconds(work: Callable[[str], object], text: str, repeats: int) -> float:
    begun = work_seconds()
    for _ in range(repeats):
        work(text)
    return work_seconds() - begun
