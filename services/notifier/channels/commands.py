"""`gateway check FILE | test CHANNEL NUMBER` and `mail test ADDRESS`: one message, outside the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

from services.notifier.channels.email.smtp import Connection as MailConnection
from services.notifier.channels.gateway.channel import gateway_channel
from services.notifier.channels.gateway.file import Gateway, GatewayFileError, read_gateways
from services.notifier.channels.gateway.numbers import number_of
from services.notifier.channels.gateway.parts import count_parts
from services.notifier.channels.gateway.texts import TEST, TextComposer
from services.notifier.channels.seam import Connection, Outage
from services.notifier.delivery.states import MailAccepted
from services.notifier.metrics import TEXT_CHANNELS
from services.notifier.settings import NotifierSettings
from shared.contract.events.fields import usable_address
from shared.contract.ids import new_id
from shared.runtime.arguments import CommandParser
from shared.runtime.clock import LOCAL_ZONE, SystemClock


def gateway(arguments: Sequence[str]) -> int:
    """`gateway check FILE | test CHANNEL NUMBER`."""
    parser = CommandParser(
        prog="python -m services.notifier gateway", description="Cổng tin nhắn / gateways of short texts"
    )
    actions = parser.add_subparsers(dest="action", required=True, title="lệnh / commands")
    check = actions.add_parser("check", help="xem thử tệp: mọi lỗi với dòng / look at a file: every fault, its line")
    check.add_argument("file", type=Path, metavar="FILE", help="tệp cổng tin nhắn (YAML) / the file of gateways")
    test = actions.add_parser("test", help="gửi một tin thử, ngoài sổ / send one text, outside the ledger")
    test.add_argument("channel", choices=TEXT_CHANNELS, metavar="CHANNEL", help=" | ".join(TEXT_CHANNELS))
    test.add_argument("number", metavar="NUMBER", help="số điện thoại / telephone number")
    given = parser.parse_args(list(arguments))
    if given.action == "check":
        return _check(given.file)
    return _test(given.channel, given.number)


def _check(file: Path) -> int:
    try:
        found = read_gateways(file.name, file.read_bytes())
    except OSError as error:
        _print(f"{file}: không đọc được / cannot be read: {error.strerror}")
        return 1
    except GatewayFileError as error:
        _print(str(error))
        return 1
    for one in found:
        limits = one.part.limits
        day = f"{limits.a_day} tin/ngày / texts a day" if limits.a_day else "không giới hạn ngày / no limit of a day"
        _print(f"{one.channel}  {one.target.authority}  {one.part.alphabet}, {limits.per_second:g}/s, {day}")
    return 0


def _test(channel: str, number: str) -> int:
    configured: dict[str, Gateway] = {one.channel: one for one in NotifierSettings().gateways()}
    if channel not in configured:
        _print(f"{channel}: chưa có trong NOTIFIER_GATEWAYS_FILE / is not in NOTIFIER_GATEWAYS_FILE")
        return 2
    if (plain := number_of(number)) is None:
        _print(f"Không phải số điện thoại / not a telephone number: {number!r}")
        return 2
    part = configured[channel].part
    text = TextComposer(part.alphabet, part.limits.parts).written(TEST)
    _print(f"{plain}: {text}  ({count_parts(text, part.alphabet)} phần / parts)")
    connection = gateway_channel(configured[channel], SystemClock()).connections[0]
    return asyncio.run(_send(connection, "", plain, text.encode(), str(new_id())))


def mail_test(address: str) -> int:
    """Send one mail that says that it is a test."""
    if not usable_address(address):
        _print(f"Địa chỉ thư không hợp lệ / not a usable address: {address!r}")
        return 2
    settings = NotifierSettings()
    message = EmailMessage()
    identity = f"<test-{new_id()}@{settings.message_id_domain}>"
    for name, value in (
        ("From", settings.sender_address), ("To", address), ("Subject", "Thư thử của Thông Suốt / test mail"),
        ("Date", format_datetime(SystemClock().now().astimezone(LOCAL_ZONE))), ("Message-ID", identity),
        ("Auto-Submitted", "auto-generated"),
    ):  # fmt: skip
        message[name] = value
    message.set_content(f"{TEST}\n\nA test of this channel: nothing is to be done.\n")
    return asyncio.run(
        _send(MailConnection(settings.server()), settings.sender_address, address, message.as_bytes(), identity)
    )


async def _send(connection: Connection, sender: str, recipient: str, message: bytes, identity: str) -> int:
    async def at_once() -> bool:
        return True

    try:
        await connection.open()
        result = await connection.send(sender, recipient, message, at_once, message_id=identity)
    except Outage as error:
        _print(f"Không dùng được kênh này / the channel cannot be used: {error}")
        return 1
    finally:
        await connection.close()
    assert result is not None
    if isinstance(result, MailAccepted):
        _print(f"Đã nhận / accepted: {result.code} {result.answer}  {identity}")
        return 0
    _print(f"Chưa được nhận / not accepted ({result.label}): {result.answer}")
    return 1


def _print(text: str) -> None:
    print(text)  # noqa: T201 - an operator's command
