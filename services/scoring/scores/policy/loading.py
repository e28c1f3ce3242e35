"""Policies come from the shipped files at start and from the operator's by command; both go through one gate."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from services.scoring.loading import Loader, load_by_command
from services.scoring.scores.policy.data import PolicyError, ReadPolicy, read_policy, shipped_policies
from services.scoring.scores.policy.store import Loaded, load_policies, publish_policies
from shared.contract.reporting_window import local_day
from shared.postgres.database import Database, Transaction
from shared.runtime.arguments import CommandParser
from shared.runtime.clock import Clock, business_clock
from shared.runtime.settings import CommonSettings
from shared.telemetry.logging import get_logger

log = get_logger()


def policy_loader(database: Database, clock: Clock) -> Loader:
    """A background that loads the shipped policies. `clock`: business time."""

    async def load(tx: Transaction) -> str:
        loaded = await load_policies(tx, shipped_policies(), _today(clock))
        for version in loaded.versions:
            log.info("A scoring policy was loaded.", action="policy.loaded", version=version)
        for version, why in loaded.left_out.items():
            log.error("A shipped scoring policy was left out.", action="policy.left_out", version=version, error=why)
        await publish_policies(tx)
        if loaded.left_out:
            return f"WARNING {'; '.join(loaded.left_out.values())}"
        return "loaded"

    return Loader("policies", database, load, PolicyError)


def load_command(argv: Sequence[str]) -> int:
    """`python -m services.scoring policy-load FILE`."""
    path = _path("policy-load", "Nạp một phiên bản quy tắc chấm điểm / load a scoring policy", argv)

    try:
        read = _read(path)
        today = _today(business_clock(CommonSettings().business_clock))
        loaded = load_by_command(lambda tx: _load_and_publish(tx, read, today))
    except PolicyError as error:
        print(error, file=sys.stderr)  # noqa: T201 - an operator's command
        return 1
    for why in loaded.left_out.values():
        print(why, file=sys.stderr)  # noqa: T201
        return 1
    print(f"Đã nạp / loaded: {', '.join(loaded.versions) or 'không có gì mới / nothing new'}  sha256 {read.sha256}")  # noqa: T201
    return 0


async def _load_and_publish(tx: Transaction, read: ReadPolicy, today: date) -> Loaded:
    loaded = await load_policies(tx, [read], today)
    if loaded.versions:
        await publish_policies(tx)
    return loaded


def check_command(argv: Sequence[str]) -> int:
    """`python -m services.scoring policy-check FILE`: every fault with its line; touches no database."""
    path = _path("policy-check", "Xem thử một quy tắc chấm điểm / look at a scoring policy", argv)
    try:
        read = _read(path)
    except PolicyError as error:
        print(error)  # noqa: T201
        return 1
    policy = read.policy
    print(  # noqa: T201
        f"Đúng / well formed: {policy.version}, từ / from {policy.effective_from:%d/%m/%Y}, sha256 {read.sha256}"
    )
    return 0


def _read(path: Path) -> ReadPolicy:
    try:
        return read_policy(path)
    except RecursionError:
        raise PolicyError(f"{path}: lồng quá sâu / is nested too deeply") from None
    except OSError as error:
        raise PolicyError(f"{path}: không đọc được / cannot be read: {error.strerror}") from error


def _path(command: str, description: str, argv: Sequence[str]) -> Path:
    parser = CommandParser(prog=f"python -m services.scoring {command}", description=description)
    parser.add_argument("file", type=Path, help="tệp quy tắc (YAML) / policy file (YAML)")
    path: Path = parser.parse_args(list(argv)).file
    return path


def _today(clock: Clock) -> date:
    return local_day(clock.now())
