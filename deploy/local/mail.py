"""The mail sink as a component, and the mails it received as data."""

from __future__ import annotations

import contextlib
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deploy.local.component import Component, Setting, Spawn
from deploy.local.ports import HOST
from deploy.local.process import poll_until


@dataclass(frozen=True, slots=True)
class Mail:
    """One accepted mail. `to` are the envelope's recipients; `text` is the plain body (else the HTML one)."""

    serial: int
    sender: str
    to: tuple[str, ...]
    subject: str
    message_id: str
    headers: Mapping[str, str]
    text: str
    received_at: datetime

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Mail:
        """Build a mail from an element of the sink's /api/mails."""
        return cls(
            serial=data["serial"],
            sender=data["from"],
            to=tuple(data["to"]),
            subject=data["subject"],
            message_id=data["message_id"],
            headers=data["headers"],
            text=data["text"],
            received_at=datetime.fromisoformat(data["received_at"]),
        )


class MailSink(Component):
    """mail_sink.py as a child process."""

    grace_seconds = 5.0

    def __init__(self, setting: Setting, smtp_port: int, http_port: int) -> None:
        super().__init__("mail", setting)
        self.smtp_port = smtp_port
        self.http_port = http_port

    @property
    def url(self) -> str:
        """The address of the readable page; /api/mails under it serves JSON."""
        return f"http://{HOST}:{self.http_port}"

    def prepare(self) -> Spawn:
        folder = self.setting.directory / "mail"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        command = [sys.executable, "-m", "deploy.local.mail_sink", str(self.smtp_port), str(self.http_port)]
        return Spawn(command=[*command, str(folder / "mails.jsonl")], env=self.setting.base_env)

    def is_ready(self) -> bool:
        with (
            contextlib.suppress(OSError, urllib.error.URLError),
            urllib.request.urlopen(f"{self.url}/healthz", timeout=1) as answer,
        ):
            return bool(answer.status == 200)
        return False

    def mails(self, after: int = 0) -> list[Mail]:
        """Mails with a serial above `after`, oldest first. Waits a moment for a sink that restarts."""
        answers: list[list[dict[str, Any]]] = []

        def fetch() -> bool:
            with (
                contextlib.suppress(OSError, urllib.error.URLError),
                urllib.request.urlopen(f"{self.url}/api/mails?after={after}", timeout=10) as answer,
            ):
                answers.append(json.load(answer))
            return bool(answers)

        if not poll_until(fetch, 5):
            raise self._failed("Hộp thư thử không trả lời.", "the mail sink does not answer")
        return [Mail.from_json(data) for data in answers[0]]
