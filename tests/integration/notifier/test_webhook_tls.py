"""Over TLS a message reaches the receiver that its name stands for, and a stock library verifies it; no impostor."""

from __future__ import annotations

import json
import random
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from services.notifier.channels.webhook.dispatcher import WebhookDispatcher
from services.notifier.main import build
from services.notifier.settings import NotifierSettings
from shared.runtime.settings import CommonSettings, KafkaSettings
from tests.fakes.certificates import DAY, Authority
from tests.integration.notifier.rig import World
from tests.integration.notifier.test_webhooks import deliveries, key_file, one_message, secret

__all__ = ["key_file"]

NAME = "bao-cao.h99.example"
PORT = 8443


@dataclass
class StockReceiver:
    """Python's own HTTPS server, which verifies as Standard Webhooks' own library does: 204, or 401."""

    address: str
    secret: str
    taken: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0
    redirect_to: str = ""

    def server(self, context: ssl.SSLContext) -> ThreadingHTTPServer:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = 204
                try:
                    Webhook(receiver.secret).verify(body, dict(self.headers))
                    receiver.taken.append({**json.loads(body), "host": self.headers["host"]})
                except Exception:
                    receiver.refused += 1
                    status = 401
                if receiver.redirect_to:
                    self.send_response(307)
                    self.send_header("location", receiver.redirect_to)
                else:
                    self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *said: Any) -> None:
                return

        class Server(ThreadingHTTPServer):
            def handle_error(self, *said: Any) -> None:
                return  # a client that does not trust it hangs up

        made = Server((self.address, PORT), Handler)
        # the handshake belongs to the connection's thread
        made.socket = context.wrap_socket(made.socket, server_side=True, do_handshake_on_connect=False)
        return made


@dataclass
class Resolver:
    """What the system's resolver says of the receiver's name: one answer after the other, the last for ever."""

    answers: list[str]
    asked: int = 0

    def __call__(self, host: str, port: int, **more: Any) -> list[Any]:
        assert host == NAME
        self.asked += 1
        address = self.answers[min(self.asked, len(self.answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def receiver() -> StockReceiver:
    """On an address of this test's own: names are reached on port 443 or 8443 alone."""
    address = f"127.{random.randrange(64, 127)}.{random.randrange(256)}.{random.randrange(1, 255)}"
    return StockReceiver(address, secret())


@pytest.fixture
def presents(receiver: StockReceiver) -> Iterator[Any]:
    """Starts the receiver with a certificate."""
    running: list[ThreadingHTTPServer] = []

    def start(context: ssl.SSLContext) -> None:
        server = receiver.server(context)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        running.append(server)

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture
def resolver(receiver: StockReceiver, monkeypatch: pytest.MonkeyPatch) -> Resolver:
    made = Resolver([receiver.address])
    monkeypatch.setattr("services.notifier.channels.webhook.names.socket.getaddrinfo", made)
    return made


@pytest.fixture
async def sender(
    world: World, authority: Authority, key_file: Path, resolver: Resolver
) -> AsyncIterator[WebhookDispatcher]:
    """As the service is built: the authority to trust and the networks allowed are settings."""
    service = build(
        settings=NotifierSettings.model_validate(
            {
                "database_url": world.database.url, "webhook_key_file": key_file,
                "webhook_ca_file": str(authority.file), "webhook_private_networks": "127.64.0.0/10",
            }
        ),
        common=CommonSettings(),
        kafka=KafkaSettings(),
    )  # fmt: skip
    yield next(one for one in service.backgrounds if isinstance(one, WebhookDispatcher))
    await service.database.close()


async def test_a_message_reaches_the_name_over_tls_and_the_stock_library_verifies_it(
    world: World, authority: Authority, receiver: StockReceiver, presents: Any, resolver: Resolver,
    sender: WebhookDispatcher,
) -> None:  # fmt: skip
    presents(authority.server(NAME))
    await one_message(world, f"https://{NAME}:{PORT}/thong-bao")
    await sender.drain()
    (row,) = await deliveries(world)
    assert row["state"] == "delivered", await world.rows("SELECT * FROM webhook_attempts")
    (taken,) = receiver.taken
    assert (taken["type"], taken["host"]) == ("submission.received", f"{NAME}:{PORT}")
    assert (receiver.refused, resolver.asked) == (0, 1)


async def test_control_another_secret_is_refused(
    world: World, authority: Authority, receiver: StockReceiver, presents: Any, sender: WebhookDispatcher
) -> None:
    receiver.secret = secret(2)
    presents(authority.server(NAME))
    await one_message(world, f"https://{NAME}:{PORT}/")
    await sender.drain()
    assert (receiver.taken, receiver.refused) == ([], 1)
    (attempt,) = await world.rows("SELECT outcome, status FROM webhook_attempts")
    assert attempt == {"outcome": "refused", "status": 401}


@pytest.mark.parametrize(
    ("impostor", "why"),
    [("stranger", "unable to get local issuer"), ("expired", "expired"), ("other name", "Hostname mismatch")],
)
async def test_nothing_is_said_to_an_impostor(
    world: World, authority: Authority, receiver: StockReceiver, presents: Any, sender: WebhookDispatcher,
    impostor: str, why: str, tmp_path: Path,
) -> None:  # fmt: skip
    match impostor:
        case "stranger":
            presents(Authority(tmp_path, "stranger").server(NAME))
        case "expired":
            presents(authority.server(NAME, valid=-DAY))
        case _:
            presents(authority.server("khac.h99.example"))
    await one_message(world, f"https://{NAME}:{PORT}/")
    await sender.drain()
    assert (receiver.taken, receiver.refused) == ([], 0)
    (attempt,) = await world.rows("SELECT outcome, answer FROM webhook_attempts")
    assert attempt["outcome"] == "away"
    assert why in attempt["answer"]


@pytest.mark.parametrize("answers", [["{own}", "10.0.0.1"], ["10.0.0.1", "{own}"]])
async def test_the_address_that_was_checked_is_the_one_that_is_connected_to(
    world: World, authority: Authority, receiver: StockReceiver, presents: Any, resolver: Resolver,
    sender: WebhookDispatcher, answers: list[str],
) -> None:  # fmt: skip
    """A name that stands for another address between the check and the connection leads nowhere else."""
    resolver.answers = [answer.format(own=receiver.address) for answer in answers]
    presents(authority.server(NAME))
    await one_message(world, f"https://{NAME}:{PORT}/")
    await sender.drain()
    assert resolver.asked == 1
    assert len(receiver.taken) == (answers[0] == "{own}")


async def test_a_redirect_is_not_followed(
    world: World, authority: Authority, receiver: StockReceiver, presents: Any, sender: WebhookDispatcher
) -> None:
    receiver.redirect_to = f"https://{NAME}:{PORT}/ben-trong"
    presents(authority.server(NAME))
    await one_message(world, f"https://{NAME}:{PORT}/")
    await sender.drain()
    assert len(receiver.taken) == 1
    (attempt,) = await world.rows("SELECT outcome, status FROM webhook_attempts")
    assert attempt == {"outcome": "refused", "status": 307}
