"""Over TLS a mail goes only to the server that it was meant for; any other is an outage, and every mail waits."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiosmtplib import SMTP

from services.notifier.channels import health
from services.notifier.channels.dispatcher import MailDispatcher
from services.notifier.channels.email import smtp as channel
from services.notifier.channels.email.smtp import Server, TlsMode
from tests.fakes.certificates import DAY, Authority
from tests.fakes.smtp import FakeSmtp
from tests.integration.notifier.rig import COMMUNE, World, due_soon, eventually, i5_violations, registry

LOGIN = ("notifier", "một mật khẩu dài")
MODES: tuple[TlsMode, ...] = ("starttls", "tls")
PATIENCE_SECONDS = 300


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def two_mails(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", due_soon(), due_soon(code=COMMUNE))


async def present(server: FakeSmtp, tls: TlsMode, context: ssl.SSLContext | None) -> None:
    """Let the server speak so, on the same port."""
    await server.stop()
    server.tls, server.context, server.login = tls, context, LOGIN
    await server.start()


def settings(server: FakeSmtp, tls: TlsMode, authority: Authority) -> Server:
    return Server(
        "127.0.0.1",
        server.port,
        tls=tls,
        ca_file=str(authority.file),
        username=LOGIN[0],
        password=LOGIN[1],
        timeout_seconds=5,
    )


async def states(world: World) -> set[str]:
    return {row["state"] for row in await world.ledger()}


@pytest.mark.parametrize("tls", MODES)
async def test_mails_go_out_over_tls_after_a_login(
    world: World, smtp: FakeSmtp, authority: Authority, tls: TlsMode
) -> None:
    await two_mails(world)
    await present(smtp, tls, authority.server())
    await world.drain(world.dispatcher(smtp, server=settings(smtp, tls, authority), connections=1))
    assert await states(world) == {"sent"}
    assert [taken.encrypted for taken in smtp.accepted] == [True, True]
    upgrade = ["EHLO", "STARTTLS"] if tls == "starttls" else []
    assert [line.split()[0] for line in smtp.log][: len(upgrade) + 3] == [*upgrade, "EHLO", "AUTH", "MAIL"]
    assert await i5_violations(world, smtp) == []


#: who the server pretends to be, and what readiness says of it
Present = Callable[[Authority, Path], "ssl.SSLContext | None"]
IMPOSTORS: dict[str, tuple[Present, str]] = {
    "unknown-authority": (lambda ours, folder: Authority(folder, "stranger").server(), "unable to get local issuer"),
    "expired": (lambda ours, folder: ours.server(valid=-DAY), "certificate has expired"),
    "other-name": (lambda ours, folder: ours.server("mail.elsewhere.example"), "IP address mismatch"),
}
CASES = [(tls, *impostor) for tls in MODES for impostor in IMPOSTORS.values()]
NAMES = [f"{tls}-{name}" for tls in MODES for name in IMPOSTORS]


async def outage(world: World, sending: MailDispatcher, now: list[float], reason: str) -> None:
    """The dispatcher waits: readiness says why and is lost after its patience, and no mail is touched."""
    await sending.start()

    def check() -> Any:
        return sending.checks()["mail server"]

    async def told() -> bool:
        return reason in check().detail

    await eventually(told, seconds=30)
    assert check().ok
    now[0] += PATIENCE_SECONDS + 1
    assert not check().ok
    assert {(row["state"], row["attempts"]) for row in await world.ledger()} == {("pending", 0)}


async def mended(world: World, sending: MailDispatcher) -> None:
    async def sent() -> bool:
        return await states(world) == {"sent"} and bool(sending.checks()["mail server"].ok)

    await eventually(sent, seconds=30)
    await sending.stop()


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    moment = [0.0]
    monkeypatch.setattr(health, "monotonic_seconds", lambda: moment[0])
    return moment


def impatient(world: World, smtp: FakeSmtp, server: Server) -> MailDispatcher:
    """A dispatcher that looks again soon after an outage."""
    return world.dispatcher(
        smtp, server=server, smtp_patience_seconds=PATIENCE_SECONDS, outage_seconds=0.05, outage_ceiling_seconds=0.2
    )


@pytest.mark.parametrize(("tls", "impostor", "reason"), CASES, ids=NAMES)
async def test_a_server_that_cannot_be_trusted_is_an_outage(
    world: World,
    smtp: FakeSmtp,
    authority: Authority,
    tmp_path: Path,
    now: list[float],
    tls: TlsMode,
    impostor: Present,
    reason: str,
) -> None:
    await two_mails(world)
    await present(smtp, tls, impostor(authority, tmp_path))
    sending = impatient(world, smtp, settings(smtp, tls, authority))
    await outage(world, sending, now, reason)
    assert not any(line.startswith(("AUTH", "MAIL")) for line in smtp.log), "no password, no address"
    await present(smtp, tls, authority.server())
    await mended(world, sending)
    assert await i5_violations(world, smtp) == []


@pytest.mark.parametrize(("tls", "impostor", "reason"), CASES, ids=NAMES)
async def test_the_control_without_the_check_the_impostor_gets_the_mails(
    world: World,
    smtp: FakeSmtp,
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tls: TlsMode,
    impostor: Present,
    reason: str,
) -> None:
    monkeypatch.setattr(channel, "tls_context", lambda ca_file: ssl._create_unverified_context())
    await two_mails(world)
    await present(smtp, tls, impostor(authority, tmp_path))
    await world.drain(world.dispatcher(smtp, server=settings(smtp, tls, authority)))
    assert len(smtp.accepted) == 2


async def test_a_server_that_does_not_offer_starttls_is_an_outage(
    world: World, smtp: FakeSmtp, authority: Authority, now: list[float]
) -> None:
    await two_mails(world)
    await present(smtp, "none", None)
    sending = impatient(world, smtp, settings(smtp, "starttls", authority))
    await outage(world, sending, now, "STARTTLS")
    assert {line.split()[0] for line in smtp.log} <= {"EHLO", "QUIT"}, "neither password nor address in the clear"
    await present(smtp, "starttls", authority.server())
    await mended(world, sending)
    assert all(taken.encrypted for taken in smtp.accepted)


async def test_the_control_encrypting_only_where_it_is_offered_gives_the_password_away(
    world: World, smtp: FakeSmtp, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "SMTP", lambda **options: SMTP(**{**options, "start_tls": None}))
    await two_mails(world)
    await present(smtp, "none", None)
    await world.drain(world.dispatcher(smtp, server=settings(smtp, "starttls", authority)))
    assert any(line.startswith("AUTH") for line in smtp.log)
    assert [taken.encrypted for taken in smtp.accepted] == [False, False]


async def test_a_server_that_speaks_no_tls_where_it_is_expected_at_once_is_an_outage(
    world: World, smtp: FakeSmtp, authority: Authority, now: list[float]
) -> None:
    await two_mails(world)
    await present(smtp, "none", None)
    sending = impatient(world, smtp, settings(smtp, "tls", authority))
    await outage(world, sending, now, "SSL")
    await present(smtp, "tls", authority.server())
    await mended(world, sending)


async def test_a_refused_login_is_an_outage(
    world: World, smtp: FakeSmtp, authority: Authority, now: list[float]
) -> None:
    await two_mails(world)
    await present(smtp, "starttls", authority.server())
    smtp.login = (LOGIN[0], "another password")
    sending = impatient(world, smtp, settings(smtp, "starttls", authority))
    await outage(world, sending, now, "SMTPAuthenticationError")
    assert LOGIN[1] not in sending.checks()["mail server"].detail
    smtp.login = LOGIN
    await mended(world, sending)


async def test_authorities_that_cannot_be_read_are_an_outage_that_names_their_file(
    world: World, smtp: FakeSmtp, authority: Authority, tmp_path: Path, now: list[float]
) -> None:
    await two_mails(world)
    await present(smtp, "tls", authority.server())
    missing = tmp_path / "missing.pem"
    sending = impatient(world, smtp, replace(settings(smtp, "tls", authority), ca_file=str(missing)))
    await outage(world, sending, now, str(missing))
    missing.write_bytes(authority.file.read_bytes())
    await mended(world, sending)
