"""`webhook-keys new FILE | list`: the master keys from which webhooks' secrets are derived."""

from __future__ import annotations

import argparse
import os
import secrets
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from services.intake.command_line import err, in_transaction, out
from services.intake.webhooks import domain, store
from shared.contract.webhook_secrets import SECRET_BYTES, line_of, read_master_keys
from shared.postgres.database import Transaction
from shared.runtime.arguments import CommandParser
from shared.runtime.clock import SystemClock


def webhook_keys(arguments: Sequence[str]) -> int:
    """`webhook-keys new FILE | list`."""
    parser: argparse.ArgumentParser = CommandParser(prog="python -m services.intake webhook-keys")
    actions = parser.add_subparsers(dest="action", required=True, title="lệnh / commands")
    new = actions.add_parser("new", help="thêm khóa gốc mới vào đầu tệp / put a new master key first into the file")
    new.add_argument("file", type=Path, metavar="FILE")
    actions.add_parser("list", help="khóa gốc nào còn dùng / which master keys are in use")
    asked = parser.parse_args(arguments)
    return _new(asked.file) if asked.action == "new" else in_transaction(_list)


def _new(path: Path) -> int:
    """A file that is there keeps its keys: secrets derived from them go on."""
    key_id = secrets.token_hex(4)
    try:
        fresh = path.with_name(f"{path.name}.new")  # ValueError: no file is named
        kept = path.read_bytes() if path.exists() else b""
        content = line_of(key_id, secrets.token_bytes(SECRET_BYTES)).encode() + kept
        read_master_keys(content)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except (OSError, ValueError) as error:
        err(f"Không ghi được / cannot write {str(path)[:200]}: {error}")
        return 1
    out(key_id)
    err(
        "Đưa tệp này tới NOTIFIER_WEBHOOK_KEY_FILE trước, rồi INTAKE_WEBHOOK_KEY_FILE: dịch vụ tự đọc lại. / Bring "
        "this file to NOTIFIER_WEBHOOK_KEY_FILE first, then to INTAKE_WEBHOOK_KEY_FILE; both are read again."
    )
    return 0


async def _list(tx: Transaction) -> int:
    now = SystemClock().now()
    used = Counter(
        secret.master_key
        for webhook in await store.everything(tx)
        if webhook.state != "deleted"
        for secret in domain.live(webhook.secrets, now)
    )
    for master_key, count in sorted(used.items()):
        out(f"{master_key}\t{count}")
    return 0
