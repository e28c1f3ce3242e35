"""python -m tests.programs.bench: set up, measure in interleaved rounds, print and keep the table."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from deploy.local import Stack, StackError
from deploy.local.options import ROOT
from tests.programs.bench import limits, neighbour, rounds
from tests.programs.bench.load import Load, NoLoadGenerator, require
from tests.programs.bench.plan import PARTS, Plan, chosen
from tests.programs.bench.province import REGIME, Province
from tests.programs.bench.results import WIDE, Measured, rows
from tests.programs.bench.rounds import EndToEnd
from tests.programs.bench.scale import scale_out
from tests.programs.bench.stored import Grown, database_bytes, event_bytes, fill
from tests.programs.bench.systems import Name, System, infrastructure, set_up_ours, wait_generated
from tests.programs.bench.table import LOAD, Table, machine

NARROW = 64
_begun = time.monotonic()


def say(text: str) -> None:
    print(f"[{time.monotonic() - _begun:6.1f} s] {text}", flush=True)


@contextmanager
def directory() -> Iterator[Path]:
    """A folder beside the project, on a disk, so that durability is real; removed at the end."""
    base = ROOT / ".local" / "bench"
    base.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="run-", dir=base))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


class Bench:
    """One run."""

    def __init__(self, plan: Plan, place: Path, table: Table) -> None:
        self.plan = plan
        self.place = place
        self.table = table
        self.measured = Measured()
        self.province = Province.of(plan.agencies, plan.periods)
        self.load_data, self.floor_data = place / "load.lua", place / "province.json"
        self.systems: dict[Name, System] = {}
        self.keys: dict[str, str] = {}

    def show(self) -> None:
        rows(self.measured, self.table)
        if not self.plan.only:
            self.table.save()

    def set_up(self, infra: Stack) -> None:
        """Set up the three systems, each with the registry, its keys and its obligations."""
        for name in self.plan.systems:
            system = System.on(name, infra, self.place, self.load_data, self.floor_data)
            system.stack.start()
            limits.make_topic(infra, system.stack.options.topic_prefix + rounds.RELAY_TOPIC)
            self.systems[name] = system
        ours = self.systems["ours"]
        say(f"danh mục / registry: {self.plan.agencies} agencies, {self.plan.periods} periods")
        self.keys = keys = set_up_ours(ours, self.province, self.place / "registry")
        body_bytes = self.province.write_load(self.load_data, keys)
        self.province.write_floor(self.floor_data, keys)
        self.table.machine["load"] = f"36 figures, 12 sums, 600 characters; {body_bytes} bytes a body; {REGIME}"
        ours.all()
        begun = time.monotonic()
        if not wait_generated(ours, self.plan.agencies * self.plan.periods, say):
            self.table.trouble.append("the obligations of the load were not generated in time")
        say(f"nghĩa vụ đã có và ai cũng biết / obligations generated and followed in {time.monotonic() - begun:.0f} s")
        ours.none()

    def limits(self, infra: Stack) -> None:
        """Measure what HTTP, PostgreSQL and Kafka allow by themselves."""
        self.constants()
        for size in (1, 100):
            self.measured.pgbench[size] = limits.pgbench(infra, size, 64 if size == 1 else 4, self.plan.limit_seconds)
            say(f"pgbench, {size} per commit: {self.measured.pgbench[size]:.0f}/s")
        self.produced(infra)

    def produced(self, infra: Stack) -> None:
        """Measure how much Kafka alone takes: the limit of the relay."""
        topic = self.systems["ours"].stack.options.topic_prefix + rounds.RELAY_TOPIC
        self.measured.produced = limits.kafka_produce(infra, topic, self.plan.relay_rows)
        say(f"aiokafka: {self.measured.produced:.0f}/s")

    def constants(self) -> None:
        """Measure what HTTP alone allows, with and without the application and its middleware."""
        load = Load(self.load_data, "constant")
        for connections in (NARROW, WIDE):
            sent = limits.constant_answers(load, connections, self.plan.limit_seconds)
            self.measured.constant[connections] = sent.per_second
            bare = limits.constant_answers(load, connections, self.plan.limit_seconds, bare=True)
            self.measured.bare[connections] = bare.per_second
            say(f"hằng số / constant app, {connections}: {sent.per_second:.0f}/s, bare {bare.per_second:.0f}/s")

    def round(self, infra: Stack, number: int) -> None:
        """Run one round of each system, in turn."""
        plan = self.plan
        for name, system in self.systems.items():
            sent_now = self.accepted(name, system)
            if number == 0:
                self._drained(name, system, infra, sent_now)
            system.all()
            if not rounds.settle(system):
                self.table.trouble.append(f"{name} did not settle")
            for connections in (NARROW, WIDE):
                run = rounds.end_to_end(system, infra, connections, plan.end_to_end_seconds, plan.rate_per_second)
                self.check(name, run.sent.refused, run.sent.broken)
                if run.scored < run.sent.accepted:
                    self.table.trouble.append(f"{name}: {run.sent.accepted} accepted, {run.scored} scored")
                self.measured.end_to_end[name][connections].append(run)
                accepted, scored = run.sent.per_second, run.per_second
                say(
                    f"{name}: nhận / accepted {accepted:.0f}/s, điểm / scored {scored:.0f}/s, {connections} connections"
                )
                rounds.settle(system)
            system.none()
            self.show()

    def accepted(self, name: Name, system: System) -> int:
        """Run one round of durable accepts; return how many were stored."""
        plan = self.plan
        system.only("intake")
        before = system.stored()
        for connections in (NARROW, WIDE):
            sent = rounds.accepts(system, connections, plan.accept_seconds, plan.warm_up_seconds, plan.rate_per_second)
            self.check(name, sent.refused, sent.broken)
            self.measured.accepts[name][connections].append(sent.per_second)
            say(f"{name}: nhận / accepts {sent.per_second:.0f}/s, {connections} connections")
        return system.stored() - before

    def steady(self, infra: Stack) -> None:
        """Measure latency at half of the system's rate, the outage and the relay."""
        for name, system in self.systems.items():
            rate = (self.measured.rate(name, WIDE) or 2.0) / 2
            _, waits = rounds.latency(system, infra, NARROW, self.plan.latency_seconds, rate)
            self.measured.latency_rate[name] = rate
            p50, p99 = rounds.percentile(waits, 0.5), rounds.percentile(waits, 0.99)
            self.measured.latency[name] = p50, p99
            every = max(1, len(waits) // 500)
            self.table.series[f"latency_seconds_{name}"] = [round(wait, 4) for wait in sorted(waits)[::every]]
            say(f"{name}: p50 {p50:.3f} s, p99 {p99:.3f} s at {rate:.0f}/s")
            if (
                name != "conventional" and self.plan.outage_seconds
            ):  # it publishes within the request, so it accepts nothing while the broker is away
                rounds.settle(system)
                self.measured.outages[name] = rounds.outage(
                    system, infra, NARROW, rate, self.plan.outage_seconds, self.plan.after_outage_seconds
                )
                say(f"{name}: {self.measured.outages[name]}")
            if name != "conventional":
                self.measured.relay[name] = rounds.relay_rate(system, self.plan.relay_rows)
                say(f"{name}: relay {self.measured.relay[name]:.0f}/s")
            system.none()
            self.show()

    def steady_alone(self, infra: Stack) -> None:
        """Measure the same alone; find each system's rate first."""
        self.produced(infra)
        for name, system in self.systems.items():
            run = self._warmed(system, infra)
            self.measured.end_to_end[name][WIDE].append(run)
            say(f"{name}: điểm / scored {run.per_second:.0f}/s, {WIDE} connections")
            rounds.settle(system)
            system.none()
        self.steady(infra)

    def all_of_it(self, infra: Stack) -> None:
        """Measure everything that the plan asks for, in one run."""
        self.limits(infra)
        for number in range(self.plan.rounds):
            self.round(infra, number)
        self.steady(infra)
        self.neighbour(infra)
        if self.plan.deep:
            self.sizes(infra)
            self.scale(infra)
            self.deep(infra)

    def part(self, name: str, infra: Stack) -> None:
        """One of PARTS alone."""
        {
            "accepts": self.accepts,
            "consumers": self.consumers,
            "steady": self.steady_alone,
            "sizes": self.sizes,
            "scale": self.scale,
            "neighbour": self.neighbour,
        }[name](infra)

    def accepts(self, infra: Stack) -> None:
        """Measure durable accepts of each system beside what HTTP alone allows."""
        self.constants()
        for _ in range(self.plan.rounds):
            for name, system in self.systems.items():
                self.accepted(name, system)
                system.none()
        self.show()

    def consumers(self, infra: Stack) -> None:
        """Measure each consumer alone, on a backlog of first reports."""
        for name, system in self.systems.items():
            self._drained(name, system, infra, self.accepted(name, system))
            system.none()
        self.show()

    def _drained(self, name: Name, system: System, infra: Stack, submissions: int) -> None:
        stall_seconds = self.plan.stall_seconds
        self.measured.consumers[name] = rounds.consumer_rates(system, infra, submissions, stall_seconds, say)

    def sizes(self, infra: Stack) -> None:
        """Measure the bytes and events that a first report leaves in the stores and sends through Kafka."""
        ours, plan = self.systems["ours"], self.plan
        ours.all()
        rounds.settle(ours)
        before, sizes, (events, body_bytes) = ours.stored(), database_bytes(ours), event_bytes(ours)
        rounds.end_to_end(ours, infra, WIDE, plan.end_to_end_seconds, plan.rate_per_second)
        rounds.settle(ours)
        count, now_sizes, (now_events, now_bytes) = ours.stored() - before, database_bytes(ours), event_bytes(ours)
        self.measured.stored_bytes = {name: (size - sizes[name]) / count for name, size in now_sizes.items()}
        self.measured.events_of_one = (now_events - events) / count, (now_bytes - body_bytes) / count
        self.show()

    def neighbour(self, infra: Stack) -> None:
        """Measure one agency's answers beside a hostile one, for our system alone."""
        if not self.plan.neighbour_seconds:
            return
        ours, seconds = self.systems["ours"], self.plan.neighbour_seconds
        self.measured.beside = neighbour.measure(ours, self.keys, self.province.report, self.plan.rounds, seconds)
        for kind, one in self.measured.beside.items():
            quiet, beside = one.p99_quiet * 1000, one.p99_beside * 1000
            say(f"láng giềng / neighbour, {kind}: p99 {quiet:.1f} → {beside:.1f} ms; {dict(one.answers)}")
        ours.none()
        self.show()

    def scale(self, infra: Stack) -> None:
        """Measure more processes of each consumer, for our system alone; each obligation has a report."""
        ours, plan = self.systems["ours"], self.plan
        ours.only("intake")
        while ours.stored() < plan.agencies * plan.periods:
            rounds.accepts(ours, NARROW, plan.accept_seconds)
        ours.all()
        rounds.settle(ours)
        self.measured.scaled = scale_out(ours, plan.scale_instances, NARROW, plan.scale_seconds, say)
        self.show()

    def deep(self, infra: Stack) -> None:
        """Measure stores as they are after years, for our system alone."""
        ours, plan = self.systems["ours"], self.plan
        before = ours.stored()
        accepts_before, scored_before = self._carried(ours, infra)
        rounds.settle(ours)
        ours.none()
        fill(ours, plan.stored, say)
        accepts_after, scored_after = self._carried(ours, infra)
        ours.none()
        self.measured.grown = Grown(
            before, before + plan.stored, accepts_before, accepts_after, scored_before, scored_after,
            database_bytes(ours),
        )  # fmt: skip
        self.show()

    def _carried(self, system: System, infra: Stack) -> tuple[float, float]:
        """Accepts and submissions scored per second; the first round of each is a warm-up."""
        plan = self.plan
        rounds.accepts(system, WIDE, plan.accept_seconds, plan.warm_up_seconds, plan.rate_per_second)
        sent = rounds.accepts(system, WIDE, plan.accept_seconds, plan.warm_up_seconds, plan.rate_per_second)
        run = self._warmed(system, infra)
        accepted, scored = sent.per_second, run.per_second
        say(f"{system.stored():,} đã lưu / stored: nhận / accepts {accepted:.0f}/s, điểm / scored {scored:.0f}/s")
        return accepted, scored

    def _warmed(self, system: System, infra: Stack) -> EndToEnd:
        """One end-to-end round after a short one, which fills caches and pools."""
        plan = self.plan
        system.all()
        rounds.settle(system)
        rounds.end_to_end(system, infra, WIDE, 2, plan.rate_per_second)
        return rounds.end_to_end(system, infra, WIDE, plan.end_to_end_seconds, plan.rate_per_second)

    def check(self, name: Name, refused: int, broken: int) -> None:
        if refused or broken:
            self.table.trouble.append(f"{name}: {refused} requests refused, {broken} broken: its rates count less")

    def stop(self) -> None:
        for system in self.systems.values():
            system.load.abort()
            system.stack.stop()


def main() -> int:
    """The exit code: 0 measured, 3 something is missing."""
    plan = chosen()
    try:
        if plan.only != ("neighbour",):  # it has its own load
            require()
    except NoLoadGenerator as missing:
        print(missing, file=sys.stderr)
        return 3
    table = Table(plan.name, machine())
    last = Table.load_if_there() if plan.only else None
    with directory() as place:
        bench = Bench(plan, place, table)
        try:
            with infrastructure(place / "infra", say) as infra:
                try:
                    if infra.broker != "kafka":
                        print("Cần Apache Kafka thật để đo / the benchmark needs a real Kafka", file=sys.stderr)
                        return 3
                    bench.set_up(infra)
                    if plan.only:
                        for part in plan.only:
                            bench.part(part, infra)
                    else:
                        bench.all_of_it(infra)
                finally:
                    bench.stop()
        except StackError as error:
            print(error.message(), file=sys.stderr)
            return 5
    table.machine["took"] = f"{time.monotonic() - _begun:.0f} s ({plan.name})"
    if last is not None:
        last.replace([row for row in table.rows if any(row.measure.startswith(PARTS[part]) for part in plan.only)])
        for part in plan.only:
            last.machine[part] = f"a run of its own, {table.machine['took']}; load average {table.machine[LOAD]}"
        table = last
    table.save()
    print(table.text())
    return 0


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupted)
    sys.exit(main())
