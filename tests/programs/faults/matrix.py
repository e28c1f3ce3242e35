"""Runs the rows of the matrix and reports. A row is a function that breaks something under load and checks the stores.

A row counts only if it could have failed. Its checks must find the errors in spoiled stores; and a row with controls
repeats its fault with a protection removed, which must turn the check red. The report keeps the two apart: finding
errors in spoiled stores does not prove that the fault would cause them.
"""

from __future__ import annotations

import random
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from deploy.local.calls import call
from tests.programs.faults import doctored, load, people
from tests.programs.faults.ground import Ground, Province
from tests.programs.faults.hooks import Receivers
from tests.programs.faults.invariants import CHECKS, OPEN_STATES, SHOWN
from tests.programs.faults.lag import lag
from tests.programs.faults.load import Ledger, Load
from tests.programs.faults.stores import READS, Stores, read_databases, read_topics

DRAIN_SECONDS = 90.0  # I6: stated for a machine of two cores with other work on it
#: a control is at rest when so many looks in a row found nothing changed, behind or open
REST_LOOKS, REST_PAUSE_SECONDS = 3, 0.7
RECEIPTS = ("200", "201")


class Unproved(Exception):
    """The fault did not happen, or a control did not turn red: the row proves nothing."""


@dataclass
class Result:
    """The outcome of one row."""

    number: str
    fault: str
    invariants: tuple[str, ...]
    seed: int
    expected_failure: str = ""
    controls: Mapping[str, Sequence[str]] = field(default_factory=dict)  # declared: control -> what it must turn red
    wrongs: dict[str, list[str]] = field(default_factory=dict)
    checked: set[str] = field(default_factory=set)
    checker_red: set[str] = field(default_factory=set)  # invariants whose check found every spoiled store
    reds: dict[str, list[str]] = field(default_factory=dict)  # control -> invariants it turned red
    figures: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return not self.error and not any(self.wrongs.values()) and set(self.invariants) <= self.checked

    @property
    def control_red(self) -> bool | None:
        """Each declared run without a protection turned red what it had to; None where the row declares none."""
        if not self.controls:
            return None
        return all(set(names) <= set(self.reds.get(control, ())) for control, names in self.controls.items())

    @property
    def as_it_should(self) -> bool:
        """Strict: a row that is expected to fail must fail."""
        if self.expected_failure:
            return not self.passed
        return self.passed and self.control_red is not False

    def document(self) -> dict[str, Any]:
        """Return it as .local/faults.json holds it."""
        return {
            "fault": f"{self.number} {self.fault}",
            "invariants": list(self.invariants),
            "passed": self.passed,
            "control_red": self.control_red,
            "expected_failure": self.expected_failure or None,
            "figures": {**self.figures, "seconds": round(self.seconds, 1)},
            "seed": self.seed,
            "controls": self.reds,
            "control_elsewhere": covered_elsewhere(self),
            "checker_red": sorted(self.checker_red),
            "wrongs": {name: found[:SHOWN] for name, found in self.wrongs.items() if found},
            "error": self.error or None,
        }


class Field:
    """What a row's function works with: the ground, a seeded dice, and the judge."""

    def __init__(self, ground: Ground, result: Result, scale: float = 1.0, *, controls: bool = True) -> None:
        self.ground = ground
        self.result = result
        self.seed = result.seed
        self.dice = random.Random(result.seed)
        self.scale = scale
        self.controls = controls  # whether rows run their fault again with a protection taken out
        self._serial = 0

    def figure(self, name: str, value: Any) -> None:
        """A figure for the table."""
        self.result.figures[name] = value

    @contextmanager
    def province(self, **options: Any) -> Iterator[Province]:
        """A fresh province; the ground is healed afterwards."""
        try:
            with Province(self.ground, **options) as province:
                yield province
        finally:
            self.ground.heal()

    def load(
        self,
        province: Province,
        posts: int = 240,
        *,
        versions: int = 2,
        agencies: Sequence[str] = people.AGENCIES,
        **options: Any,
    ) -> Load:
        """A seeded load on every intake instance of the province; `with` starts it."""
        posts = max(20, int(posts * self.scale))
        chains = load.plan(self.dice, posts, agencies, versions, self._serial)
        self._serial += posts
        return Load(province.stack.urls("intake"), self.ground.keys, chains, seed=self.seed, **options)

    def stream(self, province: Province, *, versions: int = 25, **options: Any) -> Load:
        """Start a slow load that goes on until `stop()`, so that some report is always on its way."""
        paced = {"clients": 12, "pause_seconds": 0.5, **options}
        return self.load(province, 6000, versions=versions, **paced)

    def settle(self, province: Province, ledger: Ledger, seconds: float = DRAIN_SECONDS) -> tuple[Stores, list[str]]:
        """Read until nothing is on its way, twice in a row; return what is left at the deadline."""
        began = time.monotonic()
        quiet_seconds, looks, size = 0.0, 0, -1
        while True:
            stores = call(lambda: read_databases(province.database_urls))
            left = CHECKS["I6"](ledger, stores)
            if not left and len(stores.told) == size:
                looks += 1
            else:
                looks, quiet_seconds = 0, time.monotonic() - began
            size = len(stores.told)
            if looks >= 2:
                self.figure("drain_seconds", round(quiet_seconds, 1))
                return stores, []
            if time.monotonic() - began > seconds:
                return stores, left or ["events still come"]
            time.sleep(0.8)

    def rest(self, province: Province, ledger: Ledger, seconds: float = DRAIN_SECONDS) -> Stores:
        """Until groups have no lag, no mail is open and nothing moves: what is missing now is lost, not late.

        For controls, which may never drain. Raises Unproved without rest: a red result would only show slowness.
        """
        groups = {f"{province.prefix}{name}": [province.prefix + t for t in topics] for name, topics in READS.items()}
        deadline = time.monotonic() + seconds
        before: tuple[int, ...] = ()
        looks, needed, behind = 0, REST_LOOKS, 0
        while looks < needed:
            if time.monotonic() > deadline:
                raise Unproved(f"the control is not at rest after {seconds:.0f} s ({behind} messages behind)")
            time.sleep(REST_PAUSE_SECONDS)
            stores = call(lambda: read_databases(province.database_urls))
            open_mails = sum(1 for notice in stores.notices if notice.state in OPEN_STATES or notice.due)
            sent = sum(1 for told in stores.told if told.sent)
            size: tuple[int, ...]
            webhooks = sum(1 for message in stores.deliveries if message.state in OPEN_STATES)
            size = (len(stores.told), sent, webhooks, len(stores.inbox), len(stores.witnessed), len(stores.deferred),
                    len(stores.dead), sum(notice.unknowns for notice in stores.notices))  # fmt: skip
            behind = call(lambda: lag(self.ground.kafka_direct, groups))
            looks = looks + 1 if size == before and not behind and not open_mails else 0
            # an outbox may be full only because its relay pauses before its next try
            needed = REST_LOOKS if sent == len(stores.told) else REST_LOOKS * 3
            before = size
        return stores

    def read(
        self, province: Province, stores: Stores, mails: Sequence[str] | None = None, hooks: Receivers | None = None
    ) -> Stores:
        """Add what the topics, the mail server and the webhooks' receivers hold to a reading of the databases."""
        if hooks is not None:
            hooks.show(stores)
        stores.messages = call(lambda: read_topics(self.ground.kafka_direct, province.prefix))
        stores.mails = list(mails) if mails is not None else [mail.message_id for mail in province.stack.mails()]
        return stores

    def judge(
        self,
        province: Province,
        ledger: Ledger,
        *,
        drain_seconds: float = DRAIN_SECONDS,
        mails: Callable[[], Sequence[str]] | None = None,
        hooks: Receivers | None = None,
        instead: Mapping[str, Callable[[Ledger, Stores], list[str]]] | None = None,
        may_give_up: bool = False,
        spoil: bool = True,
        strangers: Collection[str] = (),
    ) -> Stores:
        """Wait until all has drained (I6), check the row's invariants, hold each check against spoiled stores.

        `spoil` False: do not try the checks themselves, which costs many times as much as they do.
        `strangers`: ids of events that the row itself has sent.
        Every client must have been answered in the end, unless the row says that some may give up.
        """
        result = self.result
        stores, left = self.settle(province, ledger, drain_seconds)
        self.read(province, stores, mails() if mails else None, hooks)
        checks = {**CHECKS, **(instead or {})}
        if left and "I6" not in result.invariants:
            result.wrongs.setdefault("I6", []).extend(left)
        for name in result.invariants:
            result.wrongs.setdefault(name, []).extend(left if name == "I6" else checks[name](ledger, stores))
            result.checked.add(name)
            if not spoil:
                continue
            if missed := doctored.not_noticed(name, ledger, stores):
                raise Unproved(f"{name} does not notice: {', '.join(missed)}")
            result.checker_red.add(name)
        if "I7" in result.invariants:
            # marks come behind what was applied: after a lost log nobody is called late for 45 s (the watermark).
            # The look ends as soon as nothing differs; what differs all the while is no delay
            code, told = province.reconcile(settle_seconds=drain_seconds)
            said: Any = told.get("differences") or told
            if code == 1:  # what strangers sent, nobody has published
                said = [difference for difference in said if difference["key"] not in strangers]
            if code != 0 and said:
                result.wrongs["I7"].append(f"reconcile: exit code {code}: {str(said)[:800]}")
        self.figure("receipts", len(ledger.receipts))
        self.figure("stored", len(stores.submissions))
        self.figure("events", len(stores.told))
        if retried := {answer: n for answer, n in sorted(ledger.answers.items()) if answer not in RECEIPTS}:
            self.figure("answers that were not receipts", retried)
        if ledger.gave_up:
            self.figure("gave up", len(ledger.gave_up))
        if ledger.refused:
            result.wrongs.setdefault("I1", []).append(f"refused: {ledger.refused[0][1:]}")
        if ledger.gave_up and not may_give_up:
            result.wrongs.setdefault("I1", []).append(f"{len(ledger.gave_up)} posts were never answered")
        return stores

    def control(
        self,
        name: str,
        province: Province,
        ledger: Ledger,
        *,
        seconds: float = DRAIN_SECONDS,
        mails: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        """Repeat the fault without a protection: at rest, the declared invariants must be red. Raises Unproved."""
        stores = self.rest(province, ledger, seconds)
        self.read(province, stores, mails() if mails else None)
        for invariant in self.result.controls[name]:
            self.red(name, invariant, CHECKS[invariant](ledger, stores))

    def red(self, control: str, invariant: str, found: Sequence[str]) -> None:
        """Record what a check found without a protection. Raises Unproved if that is nothing or undeclared."""
        if invariant not in self.result.controls.get(control, ()):
            raise Unproved(f"the row does not declare that {control} turns {invariant} red")
        if not found:
            raise Unproved(f"{invariant} stays green without {control}")
        self.figure(f"{control}: {invariant} wrongs", len(found))
        names = self.result.reds.setdefault(control, [])
        if invariant not in names:
            names.append(invariant)

    def happened(self, what: str, count: int) -> None:
        """Record the proof that the fault was injected. Raises Unproved if there is none."""
        self.figure(what, count)
        if count <= 0:
            raise Unproved(f"it did not happen: {what}")


RowFunction = Callable[[Field], None]


@dataclass(frozen=True)
class Row:
    """A registered row."""

    number: str
    fault: str
    invariants: tuple[str, ...]
    run: RowFunction
    expected_failure: str = ""
    quick: bool = False
    controls: Mapping[str, Sequence[str]] = field(default_factory=dict)


ROWS: dict[str, Row] = {}


def row(
    number: str,
    fault: str,
    *invariants: str,
    expected_failure: str = "",
    quick: bool = False,
    controls: Mapping[str, Sequence[str]] | None = None,
) -> Callable[[RowFunction], RowFunction]:
    """Register a row of the matrix. `quick`: it belongs to the subset of `make test`.

    `controls`: the protections it takes out, with what each must turn red. A row without any leans on other rows'.
    """

    def register(function: RowFunction) -> RowFunction:
        if number in ROWS:
            raise ValueError(f"row {number} is registered twice")
        ROWS[number] = Row(number, fault, invariants, function, expected_failure, quick, controls or {})
        return function

    return register


def order(number: str) -> tuple[int, str]:
    """Rows by number, then by letter."""
    digits = "".join(c for c in number if c.isdigit())
    return int(digits or 99), number


def covered_elsewhere(result: Result) -> dict[str, list[str]]:
    """For each invariant that the row's own controls do not turn red: the rows whose controls do."""
    own = {name for names in result.controls.values() for name in names}
    return {name: sorted(rows_with_control(name), key=order) for name in result.invariants if name not in own}


def rows_with_control(invariant: str) -> list[str]:
    """Rows that declare a protection whose absence turns this invariant red."""
    return [row.number for row in ROWS.values() if any(invariant in names for names in row.controls.values())]


def run_row(chosen: Row, ground: Ground, seed: int, scale: float = 1.0, *, controls: bool = True) -> Result:
    """Run one row, whatever happens in it."""
    result = Result(chosen.number, chosen.fault, chosen.invariants, seed, chosen.expected_failure, chosen.controls)
    began = time.monotonic()
    try:
        chosen.run(Field(ground, result, scale, controls=controls))
    except Exception as error:
        result.error = f"{type(error).__name__}: {error}"[:2000]
        if not isinstance(error, Unproved) and not chosen.expected_failure:
            result.error += "\n" + traceback.format_exc(limit=-4)
    result.seconds = time.monotonic() - began
    return result
