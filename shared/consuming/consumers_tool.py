"""The operator's commands on consumers: list, show, resume, bury-to. A command writes a row that the service polls."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
from aiokafka.errors import KafkaError

from shared.kafka.clients import end_offsets, kept_offsets, make_admin
from shared.runtime.operator import as_json, entry, when, who
from shared.runtime.settings import KafkaSettings

_PLACE = re.compile(r"(.+)-(\d{1,9})@(\d{1,18})")
_HALTS = "SELECT consumer, halted_at, causes FROM consumer_halt WHERE resumed_at IS NULL"
_RESUME = """
    UPDATE consumer_halt SET resumed_at = clock_timestamp(), resumed_by = $2, resumed_how = $3
     WHERE consumer = $1 AND resumed_at IS NULL RETURNING id
"""
_ORDER = """
    INSERT INTO consumer_bury_to (consumer, topic, partition, "offset", ordered_by) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (consumer, topic, partition) DO UPDATE
       SET "offset" = excluded."offset", ordered_at = clock_timestamp(), ordered_by = excluded.ordered_by
"""


@dataclass(frozen=True, slots=True)
class Group:
    """The progress of a consumer: its lag, and its position in each partition that has one."""

    lag: int
    places: Sequence[str]


def add_consumer_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", required=True, title="lệnh / commands")
    what.add_parser("list", help="độ trễ, vị trí, dừng từ khi nào, vì sao / lag, place, halted since when and why")
    show = what.add_parser("show", help="lô bản ghi làm nó dừng / the records it halted at, with reasons")
    resume = what.add_parser("resume", help="thử lại, sau khi đã sửa / try again, after a fix")
    bury = what.add_parser("bury-to", help="chuyển các bản ghi hỏng đến đó thành sự kiện hỏng, rồi đi tiếp / "
                                           "dead-letter what is bad up to there, and go on")  # fmt: skip
    for command in (show, resume, bury):
        command.add_argument("consumer", help="<service>.<name>")
    bury.add_argument("places", nargs="*", metavar="TOPIC-PARTITION@OFFSET", help="tính cả vị trí đó / inclusive")
    bury.add_argument("--batch", action="store_true", help="mọi bản ghi của lô đã dừng / all of the batch in hand")


async def consumers(
    connection: asyncpg.Connection, arguments: argparse.Namespace, topics: Mapping[str, Sequence[str]]
) -> int:
    """Run `consumers list|show|resume|bury-to`. topics: the service's consumers with the topics each consumes.

    Exit code 0, 1 where nothing was halted, 2 where an argument is wrong.
    """
    if arguments.what == "list":
        return await _list(connection, topics)
    if arguments.consumer not in topics:
        print(f"Không có bên nhận / no such consumer: {arguments.consumer}; {', '.join(topics)}", file=sys.stderr)
        return 2
    match arguments.what:
        case "show":
            return await _show(connection, arguments.consumer)
        case "resume":
            return await _resume(connection, arguments.consumer, "resume")
        case _:
            return await _bury_to(connection, arguments, topics[arguments.consumer])


async def _list(connection: asyncpg.Connection, topics: Mapping[str, Sequence[str]]) -> int:
    halts = {row["consumer"]: row for row in await connection.fetch(_HALTS)}
    try:
        groups = await _groups(topics)
    except (KafkaError, OSError) as error:
        groups = {}
        print(f"Kafka không trả lời / Kafka does not answer: {error!r}", file=sys.stderr)
    for consumer in topics:
        group, halt = groups.get(consumer), halts.get(consumer)
        lag = f"{group.lag:,}" if group else "?"
        print(entry(f"{consumer:<24} lag {lag:>10}", _state(halt)))
        for place in group.places if group else ():
            print(f"    {place}")
    return 0


def _state(halt: Mapping[str, Any] | None) -> str:
    if halt is None:
        return "chạy / not halted"
    causes = json.loads(str(halt["causes"]))
    why = f"{causes[0]['records']} × {causes[0]['senders']}: {causes[0]['cause']}" if causes else ""
    return f"DỪNG TỪ / HALTED SINCE {when(halt['halted_at'])}: {why}"


async def _groups(topics: Mapping[str, Sequence[str]]) -> dict[str, Group]:
    settings = KafkaSettings()
    admin = make_admin(settings, "thongsuot-consumers")
    await admin.start()
    try:
        found = {}
        for consumer in topics:
            committed = await admin.list_consumer_group_offsets(f"{settings.topic_prefix}{consumer}")
            places = {(place.topic, place.partition): position.offset for place, position in committed.items()}
            described = await admin.describe_topics([settings.topic(topic) for topic in topics[consumer]])
            whole = [(t["topic"], p["partition"]) for t in described for p in t["partitions"]]
            ends = await end_offsets(settings, whole)
            behind = {place: end - max(0, places.get(place, 0)) for place, end in ends.items()}
            cut = len(settings.topic_prefix)
            shown = [
                f"{topic[cut:]}-{partition}@{max(0, places.get((topic, partition), 0))}  lag {behind[topic, partition]}"
                for topic, partition in sorted(ends)
                if behind[topic, partition]
            ]
            found[consumer] = Group(sum(behind.values()), shown)
        return found
    finally:
        await admin.close()


async def _show(connection: asyncpg.Connection, consumer: str) -> int:
    row = await connection.fetchrow("SELECT * FROM consumer_halt WHERE consumer = $1 AND resumed_at IS NULL", consumer)
    if row is None:
        return _not_halted(consumer)
    shown = {**dict(row), "causes": json.loads(row["causes"]), "batch": json.loads(row["batch"])}
    print(json.dumps(shown, default=as_json, ensure_ascii=False, indent=2))
    return 0


async def _resume(connection: asyncpg.Connection, consumer: str, how: str) -> int:
    resumed = await connection.fetch(_RESUME, consumer, who(), how)
    if not resumed:
        return _not_halted(consumer)
    print(f"{consumer} sẽ đi tiếp trong vài giây / goes on within seconds")
    return 0


def _not_halted(consumer: str) -> int:
    print(f"{consumer} không dừng / is not halted", file=sys.stderr)
    return 1


async def _not_there(places: Sequence[tuple[str, int, int]]) -> list[str]:
    """An error for each place without a record: bury-to would otherwise also bury records yet to come."""
    if not places:
        return []
    settings = KafkaSettings()
    cut = len(settings.topic_prefix)
    kept = await kept_offsets(settings, sorted({settings.topic(topic) for topic, _, _ in places}))
    there = {(topic[cut:], partition): offsets for (topic, partition), offsets in kept.items()}
    wrong = []
    for topic, partition, offset in places:
        place, offsets = f"{topic}-{partition}@{offset}", there.get((topic, partition))
        if offsets is None:
            numbers = [number for name, number in there if name == topic]
            has = f"{min(numbers)}–{max(numbers)}" if numbers else "–"
            wrong.append(f"{place}: không có phân vùng này / there is no such partition; {topic} có / has {has}")
        elif offset not in offsets:
            has = f"{offsets[0]}–{offsets[-1]}" if offsets else "–"
            wrong.append(
                f"{place}: không có bản ghi ở vị trí này / there is no record at this offset; "
                f"{topic}-{partition} có / has {has}"
            )
    return wrong


async def _bury_to(connection: asyncpg.Connection, arguments: argparse.Namespace, topics: Sequence[str]) -> int:
    named = [_PLACE.fullmatch(place) for place in arguments.places]
    if not (arguments.places or arguments.batch) or not all(place and place[1] in topics for place in named):
        print(
            f"Cần vị trí dạng TOPIC-PHÂN_VÙNG@VỊ_TRÍ, hoặc --batch / give places as TOPIC-PARTITION@OFFSET of "
            f"{', '.join(topics)}, or --batch",
            file=sys.stderr,
        )
        return 2
    places = [(place[1], int(place[2]), int(place[3])) for place in named if place]
    if wrong := await _not_there(places):
        print("\n".join(wrong), file=sys.stderr)
        return 2
    async with connection.transaction():
        row = await connection.fetchrow(
            "SELECT batch FROM consumer_halt WHERE consumer = $1 AND resumed_at IS NULL FOR UPDATE", arguments.consumer
        )
        if row is None:  # an order that is kept would let the next broken deploy drain all up to that place
            return _not_halted(arguments.consumer)
        if arguments.batch:
            for record in json.loads(row["batch"]):
                place = _PLACE.fullmatch(record["place"])
                if place:
                    places.append((place[1], int(place[2]), int(place[3])))
        last: dict[tuple[str, int], int] = {}
        for topic, partition, offset in places:
            last[topic, partition] = max(offset, last.get((topic, partition), -1))
        for (topic, partition), offset in last.items():
            await connection.execute(_ORDER, arguments.consumer, topic, partition, offset, who())
        ordered = ", ".join(f"{topic}-{partition}@{offset}" for (topic, partition), offset in sorted(last.items()))
        return await _resume(connection, arguments.consumer, f"bury-to {ordered}"[:2000])
