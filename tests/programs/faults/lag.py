"""The lag of consumer groups by the broker's own offsets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient


async def lag(bootstrap: str, groups: Mapping[str, Sequence[str]]) -> int:
    """Count messages of their topics that the groups have not committed; a partition without a commit counts whole."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await admin.start()
    await reader.start()
    try:
        for topic in {topic for topics in groups.values() for topic in topics}:
            await reader._client.add_topic(topic)
        await reader._client.force_metadata_update()
        behind = 0
        for group, topics in groups.items():
            committed = await admin.list_consumer_group_offsets(group)
            places = [TopicPartition(t, number) for t in topics for number in reader.partitions_for_topic(t) or ()]
            ends = await reader.end_offsets(places)
            begins = await reader.beginning_offsets([place for place in places if place not in committed])
            for place, end in ends.items():
                begun = committed[place].offset if place in committed else begins[place]
                behind += max(0, end - max(0, begun))
        return behind
    finally:
        await reader.stop()
        await admin.close()
