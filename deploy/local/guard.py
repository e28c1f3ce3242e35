"""The watchdog of a stack: once the stack's process is gone, it ends every process group that the stack left behind.

Runs as a plain script by `python -I -S`. Standard input is a pipe whose only writer is the stack's process:

    + PID START_TICKS SIGNAL    a child (leader of its own process group) has started
    - PID                       it has ended

End of file means that the stack's process has ended, in whatever way. Death signals (launch.py) reach direct children
only; the watchdog also reaches their children. The start ticks protect a stranger with a recycled pid.
"""

import contextlib
import os
import signal
import sys
import time

GRACE_SECONDS = 5.0


def start_ticks(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat, the start time of the process; None if it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def group_members(group: int) -> list[int]:
    """The live processes of a process group."""
    members = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] not in (b"Z", b"X"):
                members.append(int(name))
    return members


def signal_group(group: int, number: int) -> None:
    """Signal a process group; ignore one that is already gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def end_all(children: dict[int, tuple[int, int]]) -> None:
    """Send each group its own signal (PostgreSQL: fast shutdown), then SIGKILL after the grace."""
    left = {}
    for pid, (ticks, number) in children.items():
        now = start_ticks(pid)
        if now is not None and now != ticks:
            continue  # another process now has this pid
        left[pid] = number
        if now is None or number == signal.SIGKILL:
            signal_group(pid, signal.SIGKILL)
        else:
            signal_group(pid, signal.SIGCONT)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline:
        left = {pid: number for pid, number in left.items() if group_members(pid)}
        if not left:
            return
        time.sleep(0.05)
    for pid in left:
        signal_group(pid, signal.SIGKILL)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    children: dict[int, tuple[int, int]] = {}
    for line in sys.stdin:
        match line.split():
            case ["+", pid, ticks, death_signal]:
                children[int(pid)] = (int(ticks), int(death_signal))
            case ["-", pid]:
                children.pop(int(pid), None)
    end_all(children)


if __name__ == "__main__":
    main()
