"""`python -m services.validator.judge_process FD`: judges a report at a time; the kernel ends it if one costs too much.

What it judges, and which limit would end it there, stands in the page FD, which its parent reads then. ITIMER_PROF
counts the CPU of this process, whatever it does: a single call into C that never comes back is ended too, and a busy
machine ends nothing early. What ends it is no error here, it is the parent's to understand (apart.py).
"""

from __future__ import annotations

import math
import mmap
import os
import resource
import signal
import struct
import sys
from collections.abc import Mapping
from typing import BinaryIO

import msgspec

from services.validator.domain import Judgement, Overrun, Section, judge
from services.validator.formula.context import Reference
from services.validator.references import References, read_stored, reference_of
from services.validator.rules.forms import CompiledForm, compile_form
from shared.contract.events import Finding, Form, SubmissionReceived, Tier
from shared.runtime.cpu import work_seconds

#: address space: a report that needs more is a fault of its own, and must not make the machine kill a neighbour
MEMORY_BYTES = 1 << 30
HEADER = struct.Struct(">I")
#: what the page holds
PAGE_BYTES = 512
#: a timer of 0 would never ring
_SOONEST_SECONDS = 0.001


class Order(msgspec.Struct, array_like=True):
    """A report to judge. `form`, `tables`: texts that this process does not have yet; `forget`: all that it has.

    `references`: the keys of the reference tables to judge by. `tiers`: CPU seconds that a tier may take of `seconds`.
    """

    name: str
    form: str | None
    report: bytes
    seconds: float
    forget: bool = False
    references: list[str] = []
    tables: dict[str, str] = {}
    tiers: dict[Tier, float] = {}


class Timer:
    """Arms the kernel's timer for each tier, and writes down where judging is."""

    def __init__(self, page: mmap.mmap | None, seconds: float, tiers: Mapping[Tier, float]) -> None:
        self._page = page
        self._seconds, self._left = seconds, seconds
        self._tiers, self._left_of = tiers, dict(tiers)
        self._place = Overrun("report", "structure", "", seconds)
        self._since = work_seconds()
        self._write()
        self._arm(seconds)

    def enter(self, tier: Tier, rule: str) -> None:
        """Called before each stage and rule; the limit that comes first ends it."""
        if tier != self._place.tier:
            now = work_seconds()
            spent, self._since = now - self._since, now
            self._left -= spent
            if self._place.tier in self._left_of:
                self._left_of[self._place.tier] -= spent
            of_tier = self._left_of.get(tier, math.inf)
            if of_tier < self._left:
                self._place = Overrun("tier", tier, rule, self._tiers[tier])
            else:
                self._place = Overrun("report", tier, rule, self._seconds)
            self._write()
            self._arm(min(of_tier, self._left))
        else:
            self._place = self._place._replace(rule=rule)
            self._write()

    def _arm(self, seconds: float) -> None:
        signal.setitimer(signal.ITIMER_PROF, max(seconds, _SOONEST_SECONDS))

    def _write(self) -> None:
        if self._page is not None:
            text = msgspec.msgpack.encode(self._place)
            self._page[: HEADER.size + len(text)] = HEADER.pack(len(text)) + text


def place_in(page: mmap.mmap) -> Overrun:
    """What the process judges that writes this page, or judged last."""
    (size,) = HEADER.unpack(page[: HEADER.size])
    return msgspec.msgpack.decode(page[HEADER.size : HEADER.size + size], type=Overrun)


class Line(msgspec.Struct, array_like=True):
    """A finding, as it travels."""

    code: str
    tier: str
    severity: str
    path: str
    provided: str | None
    expected: str | None
    difference: str | None
    message: str
    message_en: str
    fix: str
    fix_en: str
    legal_basis: str | None = None
    weight: str | None = None
    explain: bool | None = None


class Answer(msgspec.Struct, array_like=True):
    """What became of an order: a judgement, or the error that judging raised. `seconds` of CPU."""

    seconds: float
    error_class: str = ""
    error: str = ""
    outcome: str = ""
    counts: tuple[int, int, int, int] = (0, 0, 0, 0)  # errors, warnings, required and present items
    truncated: bool = False
    findings: list[Line] = []
    any_nonzero: bool | None = None
    filler: str = "error"
    rule_pack: str | None = None
    sections: list[Section] = []
    unlisted: list[tuple[str, str, int]] = []

    @classmethod
    def of(cls, judgement: Judgement, seconds: float) -> Answer:
        return cls(
            seconds,
            outcome=judgement.outcome,
            counts=(judgement.errors, judgement.warnings, judgement.required_items, judgement.present_items),
            truncated=judgement.findings_truncated,
            findings=[
                Line(*(getattr(finding, name) for name in Line.__struct_fields__)) for finding in judgement.findings
            ],
            any_nonzero=judgement.any_nonzero,
            filler=judgement.filler,
            rule_pack=judgement.rule_pack,
            sections=list(judgement.sections),
            unlisted=list(judgement.unlisted),
        )

    def judgement(self) -> Judgement:
        return Judgement(
            self.outcome,  # type: ignore[arg-type]  # it was one on the other side
            *self.counts,
            findings=tuple(Finding.model_construct(**msgspec.structs.asdict(line)) for line in self.findings),
            findings_truncated=self.truncated,
            any_nonzero=self.any_nonzero,
            filler=self.filler,  # type: ignore[arg-type]  # and so was this
            rule_pack=self.rule_pack,
            sections=tuple(self.sections),
            unlisted=tuple(self.unlisted),  # type: ignore[arg-type]  # and these
        )


def _answer(order: Order, form: CompiledForm, tables: Mapping[str, Reference], page: mmap.mmap | None) -> Answer:
    begun = work_seconds()  # this one thread's: while the timer runs, the process' own clock goes by ticks
    try:
        timer = Timer(page, order.seconds, order.tiers)
        body = SubmissionReceived.model_validate_json(order.report)
        references = References({key.split("/")[1]: tables[key] for key in order.references}, tuple(order.references))
        judgement = judge(
            form,
            body.figures,
            body.narratives,
            body.tables,
            nil=body.nil,
            period=body.period,
            references=references,
            enter=timer.enter,
        )
        return Answer.of(judgement, work_seconds() - begun)
    except Exception as error:
        return Answer(work_seconds() - begun, type(error).__name__, f"{type(error).__name__}: {error}"[:2000])
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def serve(orders: BinaryIO, answers: BinaryIO, page: mmap.mmap | None = None) -> None:
    """Say that it is ready; answer orders until there are no more."""
    answers.write(HEADER.pack(0))
    answers.flush()
    forms: dict[str, CompiledForm] = {}
    tables: dict[str, Reference] = {}
    decoder = msgspec.msgpack.Decoder(Order)
    while header := orders.read(HEADER.size):
        order = decoder.decode(orders.read(*HEADER.unpack(header)))
        if order.forget:
            forms.clear()
            tables.clear()
        if order.form is not None:
            forms[order.name] = compile_form(Form.model_validate_json(order.form))
        for key, text in order.tables.items():
            tables[key] = reference_of(*read_stored(text))
        answer = msgspec.msgpack.encode(_answer(order, forms[order.name], tables, page))
        answers.write(HEADER.pack(len(answer)) + answer)
        answers.flush()


def main() -> None:
    """The service stops it by closing its input; a signal to the whole group is the service's to act on."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever prints does not disturb the answers
    page = mmap.mmap(int(sys.argv[1]), PAGE_BYTES) if len(sys.argv) > 1 else None
    serve(sys.stdin.buffer, answers, page)


if __name__ == "__main__":
    main()
