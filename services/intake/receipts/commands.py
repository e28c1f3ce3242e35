"""`receipt-keys new | list | withdraw`, and `receipt verify`, which needs neither the database nor the network.

Exit codes: 0 done, or the receipt holds; 1 refused, or it does not hold; 2 wrong use; 3 the database is away.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from services.intake.audit import trail
from services.intake.audit.domain import Author, Change
from services.intake.command_line import err, in_transaction, out
from services.intake.receipts import store
from services.intake.receipts.signing import Fault, PublicKey, SigningKey, key_of, verify
from shared.postgres.database import Transaction
from shared.reports.limits import MAX_BODY_BYTES
from shared.reports.report_parser import Report, read_report
from shared.runtime.arguments import CommandParser
from shared.runtime.clock import LOCAL_ZONE, SystemClock
from shared.runtime.operator import reason, who
from shared.runtime.private_keys import write_new

#: enough for a receipt, or a set of some hundred keys
MAX_FILE_BYTES = 1_000_000

_FAULTS: dict[Fault, str] = {
    "not_a_receipt": "Tệp không phải biên nhận của hệ thống này. / The file is no receipt of this system.",
    "unknown_key": (
        "Không có khóa công khai đã ký biên nhận này; tải lại GET /v1/receipt-keys. / The public key that signed it is "
        "not among these; fetch GET /v1/receipt-keys again."
    ),
    "withdrawn_key": (
        "Khóa ký biên nhận này đã bị hủy; lấy biên nhận mới: GET /v1/submissions/{id}/receipt. / The key that signed "
        "it is withdrawn; fetch a new receipt: GET /v1/submissions/{id}/receipt."
    ),
    "bad_signature": (
        "Chữ ký không đúng: biên nhận đã bị sửa hoặc không do hệ thống này ký. / The signature does not fit: the "
        "receipt was changed, or this system did not sign it."
    ),
    "other_body": "Báo cáo không phải là bản đã gửi: khác byte. / This report is not what was sent: its bytes differ.",
    "other_content": (
        "Báo cáo không phải là bản đã gửi: khác nội dung. / This report is not what was sent: its content differs."
    ),
    "unreadable_body": "Tệp báo cáo không đọc được. / The report's file cannot be read.",
}


def receipt_keys(arguments: Sequence[str]) -> int:
    """`receipt-keys new FILE | list | withdraw KEY_ID --reason WHY`."""
    parser = CommandParser(prog="python -m services.intake receipt-keys")
    actions = parser.add_subparsers(dest="action", required=True, title="lệnh / commands")
    new = actions.add_parser("new", help="tạo tệp khóa riêng / make a private key file")
    new.add_argument("file", type=Path, metavar="FILE", help="tệp chưa có / a file that does not exist yet")
    listing = actions.add_parser("list", help="khóa đã dùng để ký / keys that have signed")
    listing.add_argument("--json", action="store_true", help="in dạng JSON / print as JSON")
    withdraw = actions.add_parser("withdraw", help="không tin khóa này nữa / a key is not to be trusted any more")
    withdraw.add_argument("key_id", metavar="KEY_ID")
    withdraw.add_argument("--reason", type=reason, required=True, help="lý do, ai cũng đọc được / why; public")
    withdraw.add_argument("--by", type=reason, help="người quyết định / who decides (OPERATOR, or the account)")
    asked = parser.parse_args(arguments)
    match asked.action:
        case "new":
            return _new(asked.file)
        case "list":
            return in_transaction(lambda tx: _list(tx, asked.json))
        case _:
            return in_transaction(lambda tx: _withdraw(tx, asked.key_id, Author(asked.by or who(), asked.reason)))


def _new(path: Path) -> int:
    key = SigningKey.generate()
    try:
        write_new(path, key.pem())
    except (OSError, ValueError) as error:
        err(f"Không ghi được / cannot write {str(path)[:200]}: {error}")
        return 1
    out(key.public.key_id)
    err(
        "Đặt INTAKE_RECEIPT_KEY_FILE là tệp này, hoặc thay tệp đang dùng: dịch vụ tự đọc lại. / Set "
        "INTAKE_RECEIPT_KEY_FILE to this file, or replace the file in use: the service reads it again by itself."
    )
    return 0


async def _list(tx: Transaction, as_json: bool) -> int:
    kept = await store.public_keys(tx)
    if as_json:
        documents = [
            {
                "key_id": key.key_id,
                "registered_at": _local(registered_at),
                "withdrawn_at": _local(key.withdrawn_at),
                "reason": key.reason,
            }
            for key, registered_at in kept
        ]
        out(json.dumps({"keys": documents}, ensure_ascii=False))
        return 0
    for key, registered_at in kept:
        state = "tin được / trusted"
        if key.withdrawn_at is not None:
            state = f"đã hủy / withdrawn {_local(key.withdrawn_at)}: {key.reason}"
        out(f"{key.key_id}\t{_local(registered_at)}\t{state}")
    return 0


async def _withdraw(tx: Transaction, key_id: str, author: Author) -> int:
    now = SystemClock().now()
    if not await store.withdraw(tx, key_id, author.why, now):
        err(f"Không có khóa {key_id[:80]} đang được tin. / There is no trusted key {key_id[:80]}.")
        return 1
    change = Change("withdrawn", "receipt_key", key_id, {"withdrawn_at": None}, {"withdrawn_at": _local(now)})
    await trail.append(tx, author, [change], now)
    out(f"Đã hủy khóa {key_id}. / Key {key_id} is withdrawn.")
    return 0


def receipt(arguments: Sequence[str]) -> int:
    """`receipt verify FILE --keys KEYS [--body REPORT | --content REPORT]`."""
    parser = CommandParser(prog="python -m services.intake receipt")
    actions = parser.add_subparsers(dest="action", required=True, title="lệnh / commands")
    checking = actions.add_parser("verify", help="kiểm tra, không cần mạng / check without a network")
    checking.add_argument("file", type=Path, metavar="FILE", help="biên nhận / GET /v1/submissions/{id}/receipt")
    checking.add_argument("--keys", type=Path, required=True, help="khóa công khai / GET /v1/receipt-keys")
    sent = checking.add_mutually_exclusive_group()
    sent.add_argument("--body", type=Path, help="đúng tệp đã gửi / the very bytes that were sent")
    sent.add_argument("--content", type=Path, help="báo cáo cùng nội dung / a report that says the same")
    asked = parser.parse_args(arguments)
    try:
        signed = json.loads(_read(asked.file))
        keys = _keys(json.loads(_read(asked.keys)))
        body = None if asked.body is None else _read(asked.body, MAX_BODY_BYTES)
        content = None if asked.content is None else _read(asked.content, MAX_BODY_BYTES)
    except (OSError, ValueError, RecursionError) as error:
        err(f"Không đọc được / cannot read: {error}"[:500])
        return 1
    fault = verify(signed, keys) or _compared(signed["receipt"], body, content)
    if fault is not None:
        err(_FAULTS[fault])
        return 1
    statement = signed["receipt"]
    out(
        f"Biên nhận đúng / the receipt holds: {statement['obligation']}, phiên bản / version {statement['version']}, "
        f"tiếp nhận / received {statement['received_at']}"
    )
    return 0


def _compared(statement: Mapping[str, Any], body: bytes | None, content: bytes | None) -> Fault | None:
    if body is not None and sha256(body).hexdigest() != statement.get("sha256"):
        return "other_body"
    if content is not None:
        report = read_report(content)
        if not isinstance(report, Report):
            return "unreadable_body"
        if report.content_sha256().hex() != statement.get("content_sha256"):
            return "other_content"
    return None


def _read(path: Path, most_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Raises OSError, ValueError."""
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"{path}: quá / over {most_bytes} byte")
    return content


def _keys(document: Any) -> dict[str, PublicKey]:
    """Return the Ed25519 keys of a JSON Web Key Set; skip others. Raises ValueError."""
    listed = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(listed, list):
        raise ValueError("không có `keys` / there is no `keys`: GET /v1/receipt-keys")
    found: dict[str, PublicKey] = {}
    for one in listed:
        try:
            key = key_of(one)
        except (ValueError, AttributeError):
            continue
        found[key.key_id] = key
    return found


def _local(at: datetime | None) -> str | None:
    return at.astimezone(LOCAL_ZONE).isoformat(timespec="seconds") if at else None
