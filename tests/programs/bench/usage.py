"""The cost of a run: CPU seconds of each service, of its database sessions and of the broker; memory."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import psutil

from deploy.local import Stack
from tests.programs.bench.path import SERVICES

_BACKEND = re.compile(r"postgres: (\S+) (\S+) ")
MEBIBYTE = 1024 * 1024


def cpu_seconds(infra: Stack, stack: Stack) -> dict[str, float]:
    """CPU seconds so far: `intake`, `intake postgres`, …, `postgres rest`, `kafka`."""
    spent: dict[str, float] = {}

    def add(name: str, process: psutil.Process) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            spent[name] = spent.get(name, 0.0) + times.user + times.system

    for component in stack.components:
        service = component.name.split("-")[0]
        if service in SERVICES and component.running:
            add(service, psutil.Process(component.pid))
    prefix = stack.options.database_prefix
    for process in psutil.Process(infra.component("postgres").pid).children():
        name = "postgres rest"
        with contextlib.suppress(psutil.NoSuchProcess):
            match = _BACKEND.match(" ".join(process.cmdline()))
            if match and match[2].startswith(prefix) and match[2].removeprefix(prefix) in SERVICES:
                name = f"{match[2].removeprefix(prefix)} postgres"
        add(name, process)
    add("kafka", psutil.Process(infra.component("kafka").pid))
    return spent


def peak_mebibytes(stack: Stack) -> dict[str, float]:
    """The most memory (resident) each service has had since its start."""
    peaks: dict[str, float] = {}
    for component in stack.components:
        if component.name in SERVICES and component.running:
            status = Path(f"/proc/{component.pid}/status").read_text(encoding="ascii", errors="replace")
            match = re.search(r"VmHWM:\s+(\d+) kB", status)
            if match:
                peaks[component.name] = int(match[1]) * 1024 / MEBIBYTE
    return peaks
