"""What an operator types to try a channel: the answer in a sentence, the code, and what the other side was sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import ValidationError

from services.notifier.channels.commands import gateway, mail_test
from tests.stack import LocalMailSink

FILE = """
gateways:
  - channel: sms
    url: http://127.0.0.1:{port}/v1/send
    private_networks: {networks}
    headers: {{Authorization: "Bearer ${{SMS_TOKEN}}"}}
    body: {{json: {{to: "{{to}}", text: "{{text}}"}}}}
    success: {{status: [200], field: code, value: 0}}
    answers: [{{status: 422, means: refused}}]
"""


class _Gateway(BaseHTTPRequestHandler):
    sent: ClassVar[list[tuple[str | None, dict[str, str]]]]
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.sent.append((self.headers["Authorization"], json.loads(body)))
        answer = b'{"code": 0}'
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *rest: object) -> None:
        pass


@pytest.fixture
def peer() -> Iterator[tuple[type[_Gateway], int]]:
    class Peer(_Gateway):
        sent: ClassVar[list[tuple[str | None, dict[str, str]]]] = []

    server = HTTPServer(("127.0.0.1", 0), Peer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Peer, server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.fixture
def file(peer: tuple[type[_Gateway], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "gateways.yaml"
    path.write_text(FILE.format(port=peer[1], networks="[127.0.0.0/8]"))
    monkeypatch.setenv("SMS_TOKEN", "s3cret")
    monkeypatch.setenv("NOTIFIER_GATEWAYS_FILE", str(path))
    monkeypatch.setenv("NOTIFIER_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    return path


def test_a_text_that_is_tried_arrives_and_its_answer_is_told(
    file: Path, peer: tuple[type[_Gateway], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert gateway(["test", "sms", "0912 345 678"]) == 0
    assert peer[0].sent == [
        ("Bearer s3cret", {"to": "+84912345678", "text": "Thong Suot: tin thu kenh nay, khong can lam gi."})
    ]
    assert "Đã nhận / accepted: 200" in capsys.readouterr().out
    peer[0].status = 422
    assert gateway(["test", "sms", "0912345678"]) == 1
    assert "Chưa được nhận / not accepted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("test", "zalo", "0912345678"), "zalo: chưa có trong NOTIFIER_GATEWAYS_FILE"),
        (("test", "sms", "12"), "Không phải số điện thoại"),
    ],
)
def test_what_cannot_be_tried_is_told_and_nothing_is_sent(
    file: Path, peer: tuple[type[_Gateway], int], capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...],
    said: str,
) -> None:  # fmt: skip
    assert gateway(arguments) == 2
    assert said in capsys.readouterr().out
    assert peer[0].sent == []


def test_a_file_is_looked_at_with_every_fault_and_its_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gateway(["check", str(file)]) == 0
    assert capsys.readouterr().out.startswith("sms  127.0.0.1:")
    file.write_text(FILE.format(port=1, networks="[127.0.0.0/8, somewhere]").replace("field: code", "colour: red"))
    assert gateway(["check", str(file)]) == 1
    told = capsys.readouterr().out
    assert "gateways.yaml:5: gateways.0.private_networks: ghi mạng như 10.1.0.0/16" in told
    assert "gateways.yaml:8: gateways.0.success.colour" in told
    assert gateway(["check", str(file.with_name("none"))]) == 1
    with pytest.raises(ValidationError):  # told by the command as of every other setting
        gateway(["test", "sms", "0912345678"])


def test_a_gateway_that_is_away_is_told(
    file: Path, peer: tuple[type[_Gateway], int], capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(file.read_text().replace(f":{peer[1]}/", ":1/"))
    assert gateway(["test", "sms", "0912345678"]) == 1
    assert "Không dùng được kênh này / the channel cannot be used" in capsys.readouterr().out


def test_a_mail_that_is_tried_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NOTIFIER_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    with LocalMailSink(tmp_path) as sink:
        host, port = sink.address
        monkeypatch.setenv("NOTIFIER_SMTP_HOST", host)
        monkeypatch.setenv("NOTIFIER_SMTP_PORT", str(port))
        assert mail_test("hanh@sonoivu.example") == 0
        (mail,) = sink.mails()
    assert "Thư thử của Thông Suốt" in mail.subject
    assert "Đã nhận / accepted: 250" in capsys.readouterr().out
    assert mail_test("không phải") == 2
    assert mail_test("hanh@sonoivu.example") == 1  # the server is away
