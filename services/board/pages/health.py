"""Reads what the services say of themselves (/readyz, /metrics) into the rows that operators look at. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from services.board.watching import Said

_LAG = "thongsuot_consumer_lag_events"
_HALTED = "thongsuot_consumer_halted"
_DEFERRED = "thongsuot_deferred_events"
_DEFERRED_AGE = "thongsuot_deferred_events_oldest_age_seconds"
_LETTERS = "thongsuot_open_dead_letters"
_LETTERS_AGE = "thongsuot_open_dead_letters_oldest_age_seconds"
_BACKLOG = "thongsuot_outbox_backlog_rows"
_BACKLOG_AGE = "thongsuot_outbox_oldest_age_seconds"
_SET_ASIDE = "thongsuot_outbox_set_aside_rows"
_READ = frozenset({_LAG, _HALTED, _DEFERRED, _DEFERRED_AGE, _LETTERS, _LETTERS_AGE, _BACKLOG, _BACKLOG_AGE, _SET_ASIDE})


#: how the detail of a check begins that is well and warns
_WARNS = "WARNING"


class _Check(msgspec.Struct):
    ok: bool
    detail: str = ""


class _Readiness(msgspec.Struct):
    ready: bool
    checks: dict[str, _Check] = {}


@dataclass(frozen=True, slots=True)
class Remark:
    """A check that fails, or that is well and warns."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of a service. `ready` is None where it did not answer; then `trouble` says why."""

    service: str
    url: str
    ready: bool | None
    remarks: tuple[Remark, ...]
    trouble: str
    backlog: int | None  # events that Kafka has not acknowledged
    backlog_seconds: float
    set_aside: int | None


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer. `lag` is None while Kafka does not answer it."""

    name: str
    lag: int | None
    halted: bool
    deferred: int
    deferred_seconds: float
    letters: int  # dead letters neither replayed nor discarded
    letters_seconds: float


@dataclass(frozen=True, slots=True)
class Health:
    """How the services fare."""

    instances: list[Instance] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)


def health(said: Sequence[Said]) -> Health:
    """What the instances said. Events that wait are counted in the database, so every instance tells all of them; each
    tells the lag of its own partitions alone.
    """
    told: dict[str, dict[str, list[float]]] = {}
    instances = []
    for one in said:
        if one.trouble:
            instances.append(Instance(one.service, one.url, None, (), one.trouble, None, 0, None))
            continue
        try:
            readiness = msgspec.json.decode(one.readiness, type=_Readiness)
            samples = list(_samples(one.metrics))
        except (msgspec.MsgspecError, ValueError) as error:
            instances.append(Instance(one.service, one.url, None, (), f"not readable: {error}"[:200], None, 0, None))
            continue
        remarks = tuple(
            Remark(name, check.ok, check.detail)
            for name, check in readiness.checks.items()
            if not check.ok or check.detail.startswith(_WARNS)
        )
        own = {name: value for name, group, value in samples if not group}
        instances.append(
            Instance(
                one.service, one.url, readiness.ready, remarks, "",
                _count(own.get(_BACKLOG)), own.get(_BACKLOG_AGE, 0), _count(own.get(_SET_ASIDE)),
            )
        )  # fmt: skip
        for name, group, value in samples:
            if group:
                told.setdefault(group, {}).setdefault(name, []).append(value)
    return Health(instances, [_group(name, values) for name, values in told.items()])


def _samples(text: str) -> Iterator[tuple[str, str, float]]:
    """Name, group and value of what is looked at; the group is empty where the metric has none.

    Raises ValueError for what is no number of Prometheus, and for an infinite one, which counts nothing.
    """
    wanted = "\n".join(line for line in text.splitlines() if line.partition("{")[0].partition(" ")[0] in _READ)
    for family in text_string_to_metric_families(wanted + "\n"):
        for sample in family.samples:
            if math.isinf(sample.value):
                raise ValueError(f"{sample.name} is {sample.value}")
            yield sample.name, sample.labels.get("group", ""), sample.value


def _group(name: str, told: Mapping[str, Sequence[float]]) -> Group:
    def greatest(metric: str) -> float:
        return max(told.get(metric, ()), default=0)

    lag = [_count(value) for value in told.get(_LAG, ())]
    return Group(
        name,
        None if None in lag else sum(filter(None, lag)),
        greatest(_HALTED) > 0,
        _count(greatest(_DEFERRED)) or 0,
        greatest(_DEFERRED_AGE),
        _count(greatest(_LETTERS)) or 0,
        greatest(_LETTERS_AGE),
    )


def _count(value: float | None) -> int | None:
    return None if value is None or math.isnan(value) else int(value)


def age(seconds: float) -> tuple[str, str]:
    """A stretch of time in its largest unit: `3 phút`, `3 min`; empty for none."""
    for size, vi, en in ((86_400, "ngày", "d"), (3_600, "giờ", "h"), (60, "phút", "min"), (1, "giây", "s")):
        if seconds >= size:
            return f"{int(seconds // size)} {vi}", f"{int(seconds // size)} {en}"
    return "", ""
