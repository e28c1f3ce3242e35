"""SIGTERM ends a whole service by itself, with code 0, before its supervisor would kill it, with Kafka there or not."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from deploy.local.service import Service as Supervised
from shared.runtime.clock import monotonic_seconds
from shared.runtime.settings import KafkaSettings
from tests.integration.shared.rig import eventually


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.mark.parametrize("kafka_there", [True, False], ids=["all is there", "Kafka is away"])
async def test_a_service_ends_by_itself_on_sigterm(
    migrated_database: Callable[[str], str], kafka: KafkaSettings, kafka_there: bool, tmp_path: Path
) -> None:
    port = free_port()
    environment = {
        **os.environ,
        "VALIDATOR_DATABASE_URL": migrated_database("validator"),
        "VALIDATOR_PORT": str(port),
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers if kafka_there else f"127.0.0.1:{free_port()}",
        "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "KAFKA_IDEMPOTENCE": str(kafka.idempotence),
    }
    output = tmp_path / "lines"
    with output.open("wb") as lines:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.validator", "serve", env=environment, stdout=lines, stderr=lines
        )
    try:
        path = "/readyz" if kafka_there else "/healthz"

        async def up() -> bool:
            try:
                async with httpx.AsyncClient() as client:
                    return (await client.get(f"http://127.0.0.1:{port}{path}")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(up, f"{path} answers 200", seconds=60)
        begun = monotonic_seconds()
        process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), Supervised.grace_seconds)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    said = output.read_text()
    assert code == 0, said
    assert '"action": "service.stopped"' in said
    assert "service.stop_unfinished" not in said, f"{monotonic_seconds() - begun:.1f} s:\n{said}"
