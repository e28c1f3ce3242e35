"""How far consumer groups are behind, from the broker's own numbers."""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient


async def lag(bootstrap: str, groups: Sequence[str]) -> int:
    """Messages that the groups have not committed yet, of partitions that hold any."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await admin.start()
    await reader.start()
    try:
        behind = 0
        for group in groups:
            committed = await admin.list_consumer_group_offsets(group)
            ends = await reader.end_offsets(list(committed)) if committed else {}
            behind += sum(max(0, end - committed[place].offset) for place, end in ends.items())
        return behind
    finally:
        await reader.stop()
        await admin.close()
