"""Operator commands of intake: API keys; the registry and receipts have modules of their own.

Exit codes: 0 done, 1 refused (what to correct is on stderr), 2 wrong use, 3 the database cannot be reached.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.intake.access import keys
from services.intake.access.keys import KeyRefused
from services.intake.audit import trail
from services.intake.audit.domain import Change
from services.intake.command_line import add_author, author_of, err, in_transaction, out
from services.intake.receipts import commands as receipts
from services.intake.registry.commands import registry
from shared.postgres.database import Transaction
from shared.runtime.arguments import YEARS, CommandParser, moment
from shared.runtime.clock import LOCAL_ZONE, SystemClock
from shared.service.command import Command


def _expiry(text: str) -> datetime:
    """A moment; without an offset it is Vietnam's time."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        return moment(text)  # says how to write one
    return given if given.tzinfo and given.year in YEARS else moment(given.replace(tzinfo=LOCAL_ZONE).isoformat())


def api_keys(arguments: Sequence[str]) -> int:
    """`keys create | list | revoke`. A key is shown once, when it is made."""
    parser = CommandParser(prog="python -m services.intake keys")
    actions = parser.add_subparsers(dest="action", required=True, title="lệnh / commands")
    create = actions.add_parser("create", help="tạo khóa / make keys")
    whose = create.add_mutually_exclusive_group(required=True)
    whose.add_argument("--agency", help="mã cơ quan / code of the agency")
    whose.add_argument("--all", action="store_true", help="một khóa cho mỗi cơ quan / one key for every agency")
    create.add_argument("--expires", type=_expiry, help="hết hạn lúc (ISO 8601) / expires at")
    create.add_argument("--json", action="store_true", help="in dạng JSON / print as JSON")
    add_author(create, why_required=False)
    listing = actions.add_parser("list", help="liệt kê khóa / list keys")
    listing.add_argument("--agency", help="chỉ của cơ quan này / of this agency only")
    listing.add_argument("--json", action="store_true", help="in dạng JSON / print as JSON")
    revoke = actions.add_parser("revoke", help="thu hồi khóa / revoke a key")
    revoke.add_argument("key_id", metavar="KEY_ID")
    add_author(revoke)
    asked = parser.parse_args(arguments)
    match asked.action:
        case "create":
            return in_transaction(lambda tx: _create(tx, asked))
        case "list":
            return in_transaction(lambda tx: _list(tx, asked))
        case _:
            return in_transaction(lambda tx: _revoke(tx, asked))


async def _create(tx: Transaction, asked: argparse.Namespace) -> int:
    now = SystemClock().now()
    if asked.expires is not None and asked.expires <= now:
        raise KeyRefused("Thời điểm hết hạn đã qua.", "The expiry is in the past.")
    refused: dict[str, KeyRefused] = {}
    if asked.all:
        # each on its own: one agency with two keys keeps nobody else from having one
        made, refused = await keys.create_where_possible(tx, await keys.known_agencies(tx), now, asked.expires)
    else:
        made = await keys.create(tx, [asked.agency], now, asked.expires)
    expires = _shown(asked.expires)
    new = ({"agency": agency, "expires_at": expires} for agency in made)
    changes = [Change("created", "key", key.key_id, None, after) for key, after in zip(made.values(), new, strict=True)]
    await trail.append(tx, author_of(asked), changes, now)
    if asked.json:
        document: dict[str, Any] = {
            "keys": [
                {"agency": agency, "key_id": key.key_id, "key": key.secret_text, "expires_at": expires}
                for agency, key in made.items()
            ]
        }
        if refused:
            document["refused"] = [{"agency": agency, "reason": str(reason)} for agency, reason in refused.items()]
        out(json.dumps(document, ensure_ascii=False))
    else:
        for agency, key in made.items():
            out(f"{agency}\t{key.secret_text}")
        if made:
            err("Khóa chỉ hiện một lần; hãy lưu lại. / Keys are shown once; keep them.")
    for reason in refused.values():
        err(str(reason))
    if refused:
        err(
            f"Đã tạo {len(made)} khóa; {len(refused)} cơ quan chưa có khóa mới. / "
            f"{len(made)} keys made; {len(refused)} agencies have no new key."
        )
    return 1 if refused else 0


async def _list(tx: Transaction, asked: argparse.Namespace) -> int:
    now = SystemClock().now()
    if asked.agency is not None and asked.agency not in await keys.known_agencies(tx):
        raise keys.unknown_agency(asked.agency)
    listed = [
        {
            "key_id": key.key_id,
            "agency": key.agency,
            "live": key.is_live(now),
            "created_at": _shown(key.created_at),
            "expires_at": _shown(key.expires_at),
            "revoked_at": _shown(key.revoked_at),
            "last_used_at": _shown(key.last_used_at),
        }
        for key in await keys.changed_after(tx, -1, asked.agency)
    ]
    if asked.json:
        out(json.dumps({"keys": listed}, ensure_ascii=False))
        return 0
    for key in listed:
        state = "đang dùng / live" if key["live"] else "hết hiệu lực / ended"
        used = key["last_used_at"] or "chưa dùng / never used"
        out(f"{key['key_id']}\t{key['agency']}\t{state}\t{key['created_at']}\t{used}")
    return 0


async def _revoke(tx: Transaction, asked: argparse.Namespace) -> int:
    key_id, now = asked.key_id, SystemClock().now()
    agency = await keys.revoke(tx, key_id, now)
    change = Change("revoked", "key", key_id, {"agency": agency, "revoked_at": None}, {"revoked_at": _shown(now)})
    await trail.append(tx, author_of(asked), [change], now)
    out(f"Đã thu hồi khóa {key_id} của {agency}. / Key {key_id} of {agency} is revoked.")
    return 0


def _shown(moment: datetime | None) -> str | None:
    return moment.astimezone(LOCAL_ZONE).isoformat(timespec="seconds") if moment else None


COMMANDS: dict[str, tuple[str, Command]] = {
    "registry": ("danh mục: xem trước, thay đổi, công bố lại / registry: plan, apply, republish", registry),
    "keys": ("khóa API / API keys", api_keys),
    "receipt-keys": ("khóa ký biên nhận / keys that sign receipts", receipts.receipt_keys),
    "receipt": ("kiểm tra biên nhận / check a receipt", receipts.receipt),
}
