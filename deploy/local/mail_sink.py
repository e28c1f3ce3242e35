"""The mail sink: accepts every mail over SMTP, delivers none, and shows them all as a page and as JSON.

    python -m deploy.local.mail_sink SMTP_PORT HTTP_PORT FILE

The sink answers a mail with 250 only after its line is in FILE, so a killed sink comes back with all it accepted.
GET /            a readable page            GET /mails/N   one mail
GET /api/mails   JSON; ?after=N (serial), ?to=address, ?limit=N
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import html
import json
import signal
import sys
import threading
from datetime import UTC, datetime
from email.message import EmailMessage
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiosmtpd.smtp import SMTP, Envelope, Session

HOST = "127.0.0.1"
MAXIMUM_BYTES = 32 * 1024 * 1024
PAGE_ROWS = 500


class MailStore:
    """Mails in the order of their acceptance, in memory and in a file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._mails: list[dict[str, Any]] = []
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    self._mails.append(json.loads(line))
                except ValueError:
                    continue  # truncated when the sink was killed; its sender got no 250
        self._file = path.open("a", encoding="utf-8")

    def add(self, sender: str, recipients: list[str], content: bytes) -> None:
        """Parse the mail, write it to the file and keep it in memory."""
        mail = describe(sender, recipients, content)
        with self._lock:
            mail["serial"] = len(self._mails) + 1
            self._file.write(json.dumps(mail, ensure_ascii=False) + "\n")
            self._file.flush()
            self._mails.append(mail)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def select(self, after: int = 0, to: str | None = None, limit: int | None = None) -> list[dict[str, Any]]:
        """Mails with a serial above `after`, oldest first."""
        with self._lock:
            chosen = self._mails[max(after, 0) :]
        if to:
            chosen = [mail for mail in chosen if to in mail["to"]]
        return chosen if limit is None else chosen[:limit]


def describe(sender: str, recipients: list[str], content: bytes) -> dict[str, Any]:
    """A mail as plain data. `to` are the envelope's recipients, not the header's."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    part = message.get_body(("plain", "html"))
    try:
        text = str(part.get_content()) if part is not None else ""
    except (LookupError, ValueError, KeyError):
        text = content.decode("utf-8", "replace")
    return {
        "from": sender,
        "to": recipients,
        "subject": str(message["subject"] or ""),
        "message_id": str(message["message-id"] or "").strip(),
        "headers": {key: str(value) for key, value in message.items()},
        "text": text,
        "received_at": datetime.now(UTC).isoformat(),
    }


class Handler:
    """aiosmtpd's hooks."""

    def __init__(self, store: MailStore) -> None:
        self._store = store

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.original_content or b""
        self._store.add(envelope.mail_from or "", list(envelope.rcpt_tos), content)
        return "250 2.0.0 accepted"


class Pages(BaseHTTPRequestHandler):
    """Read-only views of the store."""

    store: MailStore
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds of silence after which a connection releases its thread

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        match parts.path.strip("/").split("/"):
            case ["healthz"]:
                self._send("text/plain", b"ok\n")
            case ["api", "mails"]:
                try:
                    after, limit = int(query.get("after", "0")), int(query.get("limit", "1000000"))
                except ValueError:
                    self._send("text/plain", b"after and limit are numbers\n", HTTPStatus.BAD_REQUEST)
                    return
                mails = self.store.select(after, query.get("to"), limit)
                self._send("application/json", json.dumps(mails, ensure_ascii=False).encode())
            case [""]:
                self._send("text/html; charset=utf-8", self._listing().encode())
            case ["mails", number] if number.isdigit() and (found := self.store.select(int(number) - 1, limit=1)):
                self._send("text/html; charset=utf-8", _page(found[0]["subject"], _one(found[0])).encode())
            case _:
                self._send("text/plain", b"not found\n", HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: object) -> None:
        """Log no requests."""

    def _listing(self) -> str:
        mails = self.store.select()
        rows = "".join(
            f"<tr><td>{mail['serial']}<td>{html.escape(mail['received_at'][:19])}"
            f"<td>{html.escape(', '.join(mail['to']))}"
            f"<td><a href='/mails/{mail['serial']}'>{html.escape(mail['subject']) or '—'}</a>"
            for mail in reversed(mails[-PAGE_ROWS:])
        )
        return _page(
            "Thư đã nhận / Mails",
            f"<p>{len(mails)} thư; không thư nào được gửi ra ngoài. / {len(mails)} mails; none leaves this machine.</p>"
            f"<table><tr><th>#<th>Lúc (UTC) / at<th>Đến / to<th>Tiêu đề / subject{rows}</table>",
        )

    def _send(self, kind: str, body: bytes, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header(
            "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        )
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)


def _page(title: str, body: str) -> str:
    return (
        f"<!doctype html><html lang=vi><meta charset=utf-8><title>{html.escape(title)}</title>"
        "<style>body{font:16px/1.5 sans-serif;max-width:70em;margin:2em auto;padding:0 1em}"
        "table{border-collapse:collapse}td,th{padding:.2em .8em .2em 0;text-align:left;vertical-align:top}"
        "pre{white-space:pre-wrap}</style>"
        f"<h1>{html.escape(title)}</h1>{body}</html>"
    )


def _one(mail: dict[str, Any]) -> str:
    headers = "".join(f"<tr><th>{html.escape(k)}<td>{html.escape(v)}" for k, v in mail["headers"].items())
    return f"<p><a href='/'>←</a></p><table>{headers}</table><pre>{html.escape(mail['text'])}</pre>"


async def serve(smtp_port: int, http_port: int, path: Path) -> None:
    """Serve SMTP and HTTP until SIGTERM or SIGINT."""
    store = MailStore(path)
    loop = asyncio.get_running_loop()
    handler = Handler(store)
    smtp = await loop.create_server(
        lambda: SMTP(
            handler, data_size_limit=MAXIMUM_BYTES, enable_SMTPUTF8=True, hostname="localhost", loop=loop, timeout=120
        ),
        HOST,
        smtp_port,
    )
    pages = type("BoundPages", (Pages,), {"store": store})
    http = ThreadingHTTPServer((HOST, http_port), pages)
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, daemon=True).start()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    await ended.wait()
    smtp.close()
    http.shutdown()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
