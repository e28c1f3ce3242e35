"""One instance of one of the services as a child process, with exactly the environment of its contract."""

from __future__ import annotations

import contextlib
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence

from deploy.local import migrated
from deploy.local.component import Component, Setting, Spawn
from deploy.local.errors import Aborted, ChildFailed
from deploy.local.options import ROOT
from deploy.local.ports import HOST
from deploy.local.process import ChildProcess, poll_until, tail

MIGRATE_TIMEOUT_SECONDS = 120.0


class Service(Component):
    """`serve` of one service; readiness is `GET /readyz` answering 200."""

    grace_seconds = 15.0

    def __init__(
        self,
        setting: Setting,
        service: str,
        instance: int,
        port: int,
        command: Sequence[str],
        environment: Callable[[], Mapping[str, str]],
        migrating: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        super().__init__(service if instance == 0 else f"{service}-{instance + 1}", setting)
        self.service = service
        self.instance = instance
        self.port = port
        self._command = [part.format(python=sys.executable, name=service) for part in command]
        self._env = environment
        self._migrating_env = migrating

    @property
    def url(self) -> str:
        """http://127.0.0.1:port"""
        return f"http://{HOST}:{self.port}"

    def prepare(self) -> Spawn:
        return Spawn(command=[*self._command, "serve"], env=self._env(), cwd=ROOT)

    def is_ready(self) -> bool:
        with (
            contextlib.suppress(OSError, urllib.error.URLError),
            urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer,
        ):
            return bool(answer.status == 200 and answer.url.endswith("/readyz"))  # not where it was led to
        return False

    def migrate(self) -> None:
        """Bring its database up to date. Raises ChildFailed with the output's end."""
        env = {**self._env(), **self._migrating_env()}
        url = env.get(f"{self.service.upper()}_DATABASE_URL", "")
        stamp = self.setting.directory / f"{self.service}-migrated.json"
        if migrated.is_current(stamp, self.service, url):
            return
        log_path = self.setting.directory / "logs" / f"{self.service}-migrate.log"
        child = ChildProcess(
            [*self._command, "migrate"], guard=self.setting.guard, log_path=log_path, env=env, cwd=ROOT
        )
        abort = self.setting.abort
        poll_until(lambda: abort.is_set() or child.exit_code() is not None, MIGRATE_TIMEOUT_SECONDS)
        code = child.exit_code()
        child.end(signal.SIGTERM, 5)
        if abort.is_set():
            raise Aborted(f"{self.service} migrate: thôi chờ.", f"{self.service} migrate: no longer waited for")
        if code != 0:
            raise ChildFailed(
                f"{self.service} migrate",
                f"Không cập nhật được cơ sở dữ liệu của {self.service}.",
                f"`{self.service} migrate` failed ({'too slow' if code is None else f'exit code {code}'})",
                log_path,
                tail(log_path, child.log_offset),
            )
        migrated.remember(stamp, self.service, url)


def interpreter_environment(env: Mapping[str, str]) -> dict[str, str]:
    """What any child may see of our own environment: enough to run, none of the credentials around us."""
    kept = (
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "TMPDIR"),
        *("JAVA_HOME", "SSL_CERT_FILE", "PYTHONWARNINGS"),
        "LOCAL_STACK_MARK",  # by which a test session finds what it left behind
    )
    base = {key: env[key] for key in kept if key in env}
    return {**base, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
