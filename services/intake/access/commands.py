"""`keys create | rotate | list | revoke | trust`: a key is shown once, when it is made."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from services.intake.access import keys
from services.intake.access.keys import ApiKey, KeyRefused
from services.intake.audit import trail
from services.intake.audit.domain import Change
from services.intake.command_line import add_author, author_of, err, in_transaction, out
from shared.access import SCOPES, Principal, PrincipalKind, Scope
from shared.postgres.database import Transaction
from shared.runtime.arguments import YEARS, CommandParser, moment
from shared.runtime.clock import LOCAL_ZONE, SystemClock
from shared.web.authentication import NewKey

#: how long a rotated key still opens where nothing else is said: a working day to change the sender's settings
OLD_KEY_LIVES = timedelta(hours=24)

_KINDS: tuple[PrincipalKind, ...] = ("agency", "person", "operator")


def api_keys(arguments: Sequence[str]) -> int:
    """The command; its exit code."""
    parser = CommandParser(prog="python -m services.intake keys")
    actions = parser.add_subparsers(dest="action", required=True, title="lệnh / commands")
    create = actions.add_parser("create", help="tạo khóa / make keys")
    whose = create.add_mutually_exclusive_group(required=True)
    _add_principals(whose, several=True)
    whose.add_argument("--all", action="store_true", help="một khóa cho mỗi cơ quan / one key for every agency")
    create.add_argument(
        "--scopes", type=_scopes, help=f"quyền, cách nhau bằng dấu phẩy / of {','.join(SCOPES)}, comma-separated"
    )
    _add_new_key(create)
    add_author(create, why_required=False)
    rotate = actions.add_parser("rotate", help="thay khóa: khóa cũ còn dùng một thời gian / replace a key")
    rotate.add_argument("key_id", metavar="KEY_ID")
    rotate.add_argument("--old-ends", type=_expiry, help="khóa cũ hết hạn lúc / when the old key ends (24 h)")
    _add_new_key(rotate)
    add_author(rotate, why_required=False)
    listing = actions.add_parser("list", help="liệt kê khóa / list keys")
    _add_principals(listing.add_mutually_exclusive_group())
    listing.add_argument("--json", action="store_true", help="in dạng JSON / print as JSON")
    revoke = actions.add_parser("revoke", help="thu hồi khóa / revoke a key")
    revoke.add_argument("key_id", metavar="KEY_ID")
    add_author(revoke)
    trust = actions.add_parser("trust", help="nhận thẻ do một dịch vụ ký / take tokens that a service signs")
    trust.add_argument("issuer", metavar="SERVICE", help="dịch vụ ký thẻ / the service that signs: board")
    trust.add_argument(
        "public_key", type=_public_key, metavar="PUBLIC_KEY", help="khóa công khai, 64 chữ số hexa / 64 hex digits"
    )
    trust.add_argument("--expires", type=_expiry, help="hết hạn lúc (ISO 8601) / expires at")
    add_author(trust, why_required=False)
    asked = parser.parse_args(arguments)
    match asked.action:
        case "create":
            return in_transaction(lambda tx: _create(tx, asked))
        case "rotate":
            return in_transaction(lambda tx: _rotate(tx, asked))
        case "list":
            return in_transaction(lambda tx: _list(tx, asked))
        case "trust":
            return in_transaction(lambda tx: _trust(tx, asked))
        case _:
            return in_transaction(lambda tx: _revoke(tx, asked))


def _add_principals(parser: argparse._MutuallyExclusiveGroup, *, several: bool = False) -> None:
    """several: `--person` may be given several times."""
    parser.add_argument("--agency", help="mã cơ quan / code of the agency")
    more = "; nhiều lần được / may be repeated" if several else ""
    parser.add_argument(
        "--person",
        action="append" if several else "store",
        help=f"mã người hoặc cán bộ / id of the person or officer{more}",
    )
    parser.add_argument("--operator", help="tên người vận hành / name of the operator")


def _add_new_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--expires", type=_expiry, help="hết hạn lúc (ISO 8601) / expires at")
    parser.add_argument("--json", action="store_true", help="in dạng JSON / print as JSON")


def _expiry(text: str) -> datetime:
    """A moment; without an offset it is Vietnam's time."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        return moment(text)  # says how to write one
    return given if given.tzinfo and given.year in YEARS else moment(given.replace(tzinfo=LOCAL_ZONE).isoformat())


def _public_key(text: str) -> bytes:
    try:
        given = bytes.fromhex(text)
    except ValueError:
        given = b""
    if len(given) != 32:
        raise argparse.ArgumentTypeError(
            "khóa công khai Ed25519 gồm 64 chữ số hexa / an Ed25519 public key has 64 hex digits"
        )
    return given


def _scopes(text: str) -> frozenset[Scope]:
    given = {word.strip() for word in text.split(",")}
    if unknown := given - set(SCOPES):
        names = ", ".join(sorted(unknown))
        raise argparse.ArgumentTypeError(f"{names}: không có quyền này / no such scope; {', '.join(SCOPES)}")
    return frozenset(scope for scope in SCOPES if scope in given)


def _principal(asked: argparse.Namespace) -> tuple[PrincipalKind, str] | None:
    return next(((kind, name) for kind in _KINDS if (name := getattr(asked, kind)) is not None), None)


def _in_future(moment: datetime | None, now: datetime) -> None:
    if moment is not None and moment <= now:
        raise KeyRefused("Thời điểm hết hạn đã qua.", "The expiry is in the past.")


async def _create(tx: Transaction, asked: argparse.Namespace) -> int:
    now = SystemClock().now()
    _in_future(asked.expires, now)
    if asked.person is not None:
        names: list[tuple[PrincipalKind, str]] = [("person", person) for person in dict.fromkeys(asked.person)]
    else:
        wanted = _principal(asked)
        names = [wanted] if wanted is not None else [("agency", code) for code in await keys.known_agencies(tx)]
    owners = [keys.owner(kind, name, asked.scopes) for kind, name in names]
    # each on its own: one agency with two keys keeps nobody else from having one
    made, refused = await keys.issue(tx, owners, now, asked.expires)
    if refused and not asked.all:
        raise next(iter(refused.values()))
    await _note_new(tx, asked, made, now)
    _show_new(made, asked, refused)
    return 1 if refused else 0


async def _rotate(tx: Transaction, asked: argparse.Namespace) -> int:
    now = SystemClock().now()
    _in_future(asked.expires, now)
    _in_future(asked.old_ends, now)
    ends_at = asked.old_ends or now + OLD_KEY_LIVES
    rotated = await keys.rotate(tx, asked.key_id, now, ends_at, asked.expires)
    made = {rotated.before.owner: rotated.new}
    await _note_new(tx, asked, made, now)
    was, ends = _shown(rotated.before.expires_at), _shown(rotated.after.expires_at)
    await trail.append(
        tx, author_of(asked), [Change("changed", "key", asked.key_id, {"expires_at": was}, {"expires_at": ends})], now
    )
    _show_new(made, asked, {})
    err(f"Khóa cũ {asked.key_id} còn dùng đến {ends}. / The old key ends then.")
    return 0


async def _note_new(tx: Transaction, asked: argparse.Namespace, made: dict[Principal, NewKey], now: datetime) -> None:
    changes = [
        Change("created", "key", key.key_id, None, {**_named(principal), "expires_at": _shown(asked.expires)})
        for principal, key in made.items()
    ]
    await trail.append(tx, author_of(asked), changes, now)


def _show_new(made: dict[Principal, NewKey], asked: argparse.Namespace, refused: dict[Principal, KeyRefused]) -> None:
    if asked.json:
        document: dict[str, Any] = {
            "keys": [
                {
                    **_named(principal),
                    "key_id": key.key_id,
                    "key": key.secret_text,
                    "expires_at": _shown(asked.expires),
                }
                for principal, key in made.items()
            ]
        }
        if refused:
            document["refused"] = [
                {principal.kind: principal.id, "reason": str(reason)} for principal, reason in refused.items()
            ]
        out(json.dumps(document, ensure_ascii=False))
    else:
        for principal, key in made.items():
            out(f"{principal.id}\t{key.secret_text}")
        if made:
            err("Khóa chỉ hiện một lần; hãy lưu lại. / Keys are shown once; keep them.")
    for reason in refused.values():
        err(str(reason))
    if refused:
        err(
            f"Đã tạo {len(made)} khóa; {len(refused)} cơ quan chưa có khóa mới. / "
            f"{len(made)} keys made; {len(refused)} agencies have no new key."
        )


def _named(principal: Principal) -> dict[str, Any]:
    """Whose key it is, under the name of its kind, and its scopes."""
    return {principal.kind: principal.id, "scopes": keys.in_order(principal.scopes)}


async def _list(tx: Transaction, asked: argparse.Namespace) -> int:
    now = SystemClock().now()
    wanted = _principal(asked)
    if asked.agency is not None and asked.agency not in await keys.known_agencies(tx):
        raise keys.unknown_agency(asked.agency)
    found = [
        key
        for key in await keys.changed_after(tx, -1, wanted[1] if wanted else None)
        if wanted is None or key.owner.kind == wanted[0]
    ]
    if asked.json:
        out(json.dumps({"keys": [_document(key, now) for key in found]}, ensure_ascii=False))
        return 0
    for key in found:
        state = "đang dùng / live" if key.is_live(now) else "hết hiệu lực / ended"
        used = _shown(key.last_used_at) or "chưa dùng / never used"
        out(f"{key.key_id}\t{key.owner.id}\t{state}\t{_shown(key.created_at)}\t{used}")
    return 0


def _document(key: ApiKey, now: datetime) -> dict[str, Any]:
    moments = ("created_at", "expires_at", "revoked_at", "last_used_at")
    shown = {name: _shown(getattr(key, name)) for name in moments}
    return {"key_id": key.key_id, **_named(key.owner), "live": key.is_live(now), **shown}


async def _trust(tx: Transaction, asked: argparse.Namespace) -> int:
    now = SystemClock().now()
    _in_future(asked.expires, now)
    key = await keys.trust(tx, asked.issuer, asked.public_key, now, asked.expires)
    if key is None:
        out(f"Thẻ của {asked.issuer} do khóa này ký đã được nhận. / Tokens of {asked.issuer} by it are taken already.")
        return 0
    after = {**_named(key.owner), "public_key": asked.public_key.hex(), "expires_at": _shown(asked.expires)}
    await trail.append(tx, author_of(asked), [Change("created", "key", key.key_id, None, after)], now)
    out(f"{key.key_id}\tNhận thẻ do {asked.issuer} ký. / Tokens signed by {asked.issuer} are taken.")
    return 0


async def _revoke(tx: Transaction, asked: argparse.Namespace) -> int:
    key_id, now = asked.key_id, SystemClock().now()
    principal = await keys.revoke(tx, key_id, now)
    before = {principal.kind: principal.id, "revoked_at": None}
    change = Change("revoked", "key", key_id, before, {"revoked_at": _shown(now)})
    await trail.append(tx, author_of(asked), [change], now)
    out(f"Đã thu hồi khóa {key_id} của {principal.id}. / Key {key_id} of {principal.id} is revoked.")
    return 0


def _shown(moment: datetime | None) -> str | None:
    return moment.astimezone(LOCAL_ZONE).isoformat(timespec="seconds") if moment else None
