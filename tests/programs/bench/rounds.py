"""The measurements of one system: acceptance, end to end, consumers one by one, relay, latency, outage.

Every figure is a count divided by the time between two observed moments; nothing is extrapolated.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from deploy.local import Stack
from tests.programs.bench.load import Sent
from tests.programs.bench.path import SERVICES
from tests.programs.bench.systems import System, wait_until
from tests.programs.bench.usage import cpu_seconds, peak_mebibytes

#: events that each consumer counts for one submission; the floor counts only scoring's verdicts
EVENTS_OF_ONE = {
    "ours": {"validator": 1, "scoring": 2, "notifier": 2, "intake": 2},
    "floor": {"validator": 1, "scoring": 1, "notifier": 2, "intake": 2},
    "conventional": {"validator": 1, "scoring": 2, "notifier": 2, "intake": 2},
}
#: events that only measure the relay: a topic that no service follows, or its consumers would halt on them
RELAY_TOPIC = "bench.relay"
DRAIN_TIMEOUT_SECONDS = 1800.0
#: share of a backlog that must be left at the first look: with less the figure shows how fast a process joins
LEFT_SHARE = 0.3
#: seconds between two looks at a count; each look costs that service some milliseconds
POLL_SECONDS = 0.25

_LATENCIES = """
SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin)) - extract(epoch FROM {received_at}) + $2::float8,
       extract(epoch FROM pg_xact_commit_timestamp(xmin))
  FROM obligations
 WHERE {received_at} >= to_timestamp($1) AND {decided}
"""
_BY_HAND = _LATENCIES.format(received_at="last_received_at", decided="decided_version = received_version")
#: by system: when each obligation whose latest version has a verdict was received and scored
LATENCIES = {
    "ours": _LATENCIES.format(
        received_at="received_at", decided="document -> 'facts' -> 'versions' -> -1 -> 'verdicts' IS NOT NULL"
    ),
    "floor": _BY_HAND,
    "conventional": _BY_HAND,
}


@dataclass
class EndToEnd:
    """Accepted over HTTP until scored, and what it cost."""

    sent: Sent
    seconds: float
    scored: int
    cpu: dict[str, float] = field(default_factory=dict)
    peak_mib: dict[str, float] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        return self.scored / self.seconds


@dataclass
class Outage:
    """The broker was away; the load went on."""

    arrivals_per_second: float
    refused: int
    backlog: int
    resumed_after_seconds: float  # from the broker's readiness to the first scored verdict
    drain_seconds: float
    drained_per_second: float
    caught_up: bool


def accepts(
    system: System, connections: int, seconds: float, warm_up_seconds: float = 1, rate_per_second: float = 0
) -> Sent:
    """Durable accepts over HTTP with intake alone; its relay runs, nobody consumes.

    The warm-up opens each system's connections and fills its caches; what it sent is stored, but not counted.
    """
    system.only("intake")
    system.load.send(system.submit_url, connections, warm_up_seconds, rate_per_second)
    sent = system.load.send(system.submit_url, connections, seconds, rate_per_second)
    wait_until(lambda: system.outbox_rows("intake") == 0, 120)
    return sent


@dataclass(frozen=True)
class Drained:
    """A service alone on a backlog. CPU is that of the service and its database sessions, per submission."""

    per_second: float
    cpu_ms: float
    database_cpu_ms: float


def consumer_rates(
    system: System, infra: Stack, submissions: int, stall_seconds: float, say: Callable[[str], None]
) -> dict[str, Drained]:
    """Measure each service alone while it drains its topics; its relay runs too."""
    found = {}
    for service in ("validator", "scoring", "notifier", "intake"):
        system.none()
        system.only(service, ready=False)  # a quick one drains much of it before it is ready
        before = cpu_seconds(infra, system.stack)
        events_of_one = EVENTS_OF_ONE[system.name][service]
        already = system.applied(service) / events_of_one
        count = partial(system.applied, service)
        rate, applied = drain(count, submissions * events_of_one, stall_seconds)
        wait_until(lambda service=service: system.outbox_rows(service) == 0, 120)  # type: ignore[misc]
        after = cpu_seconds(infra, system.stack)
        counted = max(applied / events_of_one - already, 1)
        own = 1000 * (after[service] - before[service]) / counted
        database = 1000 * sum(after[n] - before.get(n, 0.0) for n in after if n == f"{service} postgres") / counted
        found[service] = Drained(rate / events_of_one, own, database)
        say(
            f"  {system.name} {service}: {rate / events_of_one:.0f}/s, CPU {own:.3f} + {database:.3f} ms "
            f"({applied} of {submissions * events_of_one} events)"
        )
    return found


def drain(applied: Callable[[], int], wanted: int, stall_seconds: float = 10) -> tuple[float, int]:
    """Return events per second from the first one seen applied to the last, and how many were applied.

    NaN if less than LEFT_SHARE of the wanted events was left at the first look.
    """
    begun, first, last_at, count = 0.0, 0, time.monotonic(), 0
    while True:
        now_applied, now = applied(), time.monotonic()
        if now_applied > count:
            if not begun:
                begun, first = now, now_applied
            count, last_at = now_applied, now
        if count >= wanted or now - last_at > (stall_seconds if count else 6 * stall_seconds):
            break
        time.sleep(POLL_SECONDS)
    enough = last_at > begun and count - first >= LEFT_SHARE * wanted
    return ((count - first) / (last_at - begun) if enough else math.nan), count


def end_to_end(system: System, infra: Stack, connections: int, seconds: float, rate_per_second: float = 0) -> EndToEnd:
    """Send with all services running, and wait until everything accepted is scored."""
    system.all()
    before, cpu_before = system.scored(), cpu_seconds(infra, system.stack)
    begun = time.monotonic()
    sent = system.load.send(system.submit_url, connections, seconds, rate_per_second)
    finished, count = time.monotonic(), 0
    while count < sent.accepted and time.monotonic() - finished < 60:
        now_count = system.scored() - before
        if now_count > count:
            count, finished = now_count, time.monotonic()
        time.sleep(POLL_SECONDS)
    cpu_after = cpu_seconds(infra, system.stack)
    spent = {name: cpu_after[name] - cpu_before.get(name, 0.0) for name in cpu_after}
    return EndToEnd(sent, finished - begun, count, spent, peak_mebibytes(system.stack))


def settle(system: System, timeout_seconds: float = DRAIN_TIMEOUT_SECONDS) -> bool:
    """Wait until all stored submissions are scored, outboxes are empty and nothing moves; return True if in time."""

    def quiet() -> bool:
        before = [system.applied(service) for service in SERVICES]
        if any(system.outbox_rows(service) for service in SERVICES):
            return False
        time.sleep(1.5)
        if before != [system.applied(service) for service in SERVICES]:
            return False
        return system.decided() >= system.stored()  # this query reads every obligation, so it runs last

    return wait_until(quiet, timeout_seconds, 1.0)


def latencies(system: System, since: float) -> list[tuple[float, float]]:
    """(seconds from receipt to the commit of its score, epoch seconds of that commit), sorted by the latter.

    Receipts and commits are the servers' own stamps on one machine's clock. `since`: epoch seconds, system time.
    """
    ahead = system.clock_ahead_seconds
    rows = system.query("scoring", LATENCIES[system.name], since + ahead, ahead)
    return sorted(((float(row[0]), float(row[1])) for row in rows), key=lambda pair: pair[1])


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]


def latency(system: System, infra: Stack, connections: int, seconds: float, rate: float) -> tuple[Sent, list[float]]:
    """Measure seconds from POST to scored under a steady load of `rate` submissions per second, after the first two."""
    system.all()
    end_to_end(system, infra, connections, 2, rate)  # caches, pools, JIT of the broker
    begun = time.time()
    measured = end_to_end(system, infra, connections, seconds, rate)
    return measured.sent, [seconds for seconds, _ in latencies(system, begun)]


def outage(system: System, infra: Stack, connections: int, rate: float, outage_seconds: float, after: float) -> Outage:
    """Kill the broker under a steady load, start it again, and watch the backlog drain while the load goes on."""
    system.all()
    lead = 4.0
    load_seconds = lead + outage_seconds + after
    since = time.time()
    system.load.start(system.submit_url, connections, load_seconds, rate)
    try:
        time.sleep(lead)
        kafka = infra.component("kafka")
        kafka.kill()
        time.sleep(outage_seconds)
        kafka.start()
        kafka.wait_ready()
        ready = time.time()
        sent = system.load.finish()
    finally:
        system.load.abort()
    settle(system)
    seen = latencies(system, since)
    resumed = [(waited, at) for waited, at in seen if at >= ready]
    if not resumed:
        return Outage(sent.per_second, sent.refused, 0, math.nan, math.nan, math.nan, False)
    first = resumed[0][1]
    caught = next((at for waited, at in resumed if waited < 2.0), None)
    end = caught if caught is not None else resumed[-1][1]
    drained = sum(1 for _, at in resumed if at <= end)
    backlog = sum(1 for waited, at in seen if at >= ready and at - waited <= ready)
    span = max(end - first, 1e-9)
    return Outage(sent.per_second, sent.refused, backlog, first - ready, span, drained / span, caught is not None)


def relay_rate(system: System, rows: int) -> float:
    """Measure events per second that the relay sends from a prefilled outbox, acknowledged by Kafka and archived."""
    system.none()
    fill = f"""
        INSERT INTO outbox (event_id, topic, key, type, body)
        SELECT gen_random_uuid(), '{RELAY_TOPIC}', key, 'vn.thongsuot.bench.relay.v1', body
          FROM (SELECT key, body FROM outbox_archive WHERE topic = 'submissions' LIMIT $1) AS kept
    """
    system.query("intake", fill, rows)
    filled = system.outbox_rows("intake")
    if not filled:
        return math.nan
    for component in system.stack.components:
        if component.name == "intake":
            component.start()
    rate, _ = drain(lambda: filled - system.outbox_rows("intake"), filled)
    return rate
