"""The services on a report's way, which the benchmark measures. The board stands beside it: nothing waits for it."""

from __future__ import annotations

from shared.contract.services import SERVICES as EVERY

BESIDE = frozenset({"board"})
SERVICES = tuple(service for service in EVERY if service not in BESIDE)
