"""Asks the tests about mutants, in the folder of their copy: one collected session that forks for each mutant.

Its standard input is JSON: `arguments` of pytest, and the `keys` of the mutants. Its standard output has a line for
each mutant, `KEY<tab>EXIT CODE`, in pytest's codes; a signal's number is negative. What a forked test prints is lost.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TextIO

import pytest

NOT_CALLED = 33
_KILLED, _SURVIVED = 1, 0
#: a mutant may take so many times the CPU of the tests without it, and so many seconds more
_TIMES, _SECONDS_MORE = 5, 10
_VARIABLE = "MUTANT_UNDER_TEST"  # which mutant mutmut's copy of a function is


@dataclass(frozen=True, slots=True)
class Costs:
    """Of one test: the mutated functions that it calls, and its CPU seconds."""

    functions: tuple[str, ...]
    seconds: float
    failed: bool


class Session:
    """A pytest plugin that asks in place of running the tests.

    Nothing runs before the first fork, so that no mutant hides behind a cache that a test has filled.
    """

    def __init__(self, keys: Sequence[str], answers: TextIO) -> None:
        self.keys = keys
        self.answers = answers
        self.broken: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Take the place of pytest's loop over the tests."""
        if session.testsfailed:
            self.broken.append("collection")
            return True
        gc.collect()
        gc.freeze()
        costs = _in_a_fork(lambda: [_costs_of(session, item) for item in session.items])
        self.broken = [item.nodeid for item, cost in zip(session.items, costs, strict=True) if cost.failed]
        if self.broken:
            return True
        callers: dict[str, list[tuple[float, int]]] = defaultdict(list)
        for place, cost in enumerate(costs):
            for function in cost.functions:
                callers[function].append((cost.seconds, place))
        for key in self.keys:
            tests = sorted(callers[key.partition("__mutmut_")[0]])
            code = self._ask(session, key, tests) if tests else NOT_CALLED
            self.answers.write(f"{key}\t{code}\n")
            self.answers.flush()
        return True

    def _ask(self, session: pytest.Session, key: str, tests: Sequence[tuple[float, int]]) -> int:
        child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        limit = int(_SECONDS_MORE + _TIMES * sum(seconds for seconds, _ in tests))
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 2))
        os.environ[_VARIABLE] = key
        _end(_first_failure(session, [session.items[place] for _, place in tests]))


def _first_failure(session: pytest.Session, items: Iterable[pytest.Item]) -> int:
    try:
        for item in items:
            if _fails(session, item):
                return _KILLED
    except BaseException:  # whatever it is, it would not have come without the mutant
        return _KILLED
    return _SURVIVED


def _fails(session: pytest.Session, item: pytest.Item) -> bool:
    before = session.testsfailed
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
    return session.testsfailed > before


def _costs_of(session: pytest.Session, item: pytest.Item) -> Costs:
    from mutmut.state import state

    state()._stats.clear()
    begun = time.process_time()
    failed = _fails(session, item)
    return Costs(tuple(state()._stats), time.process_time() - begun, failed)


def _in_a_fork(work: Any) -> list[Costs]:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        os.environ[_VARIABLE] = "stats"
        with os.fdopen(writing, "w", encoding="utf-8") as pipe:
            json.dump([(cost.functions, cost.seconds, cost.failed) for cost in work()], pipe)
        _end(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        told = json.load(pipe)
    os.waitpid(child, 0)
    return [Costs(tuple(functions), seconds, failed) for functions, seconds, failed in told]


def _end(code: int) -> NoReturn:
    """Without what belongs to the parent: its exit handlers and buffers."""
    os._exit(code)


def main() -> int:
    """Ask about what standard input names; 1 where tests fail without any mutant, named on standard error."""
    told = json.load(sys.stdin)
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [os.getcwd(), *(path for path in sys.path if path not in ("", folder))]
    os.environ[_VARIABLE] = ""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        session = Session(told["keys"], answers)
        arguments = ["--rootdir=.", "-q", "--capture=no", "-p", "no:cacheprovider", "-p", "no:xdist"]
        code = pytest.main([*arguments, *told["arguments"]], plugins=[session])
    for name in session.broken:
        print(f"fails without any mutant: {name}", file=sys.stderr)
    return 1 if session.broken or code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) else 0


if __name__ == "__main__":
    sys.exit(main())
