"""The directory of a stack, owned by one supervisor at a time: secrets (mode 600) and the state `status` shows."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.local.errors import DiskFull, StackInUse
from deploy.local.options import typed
from shared.contract.webhook_secrets import SECRET_BYTES, line_of
from shared.runtime.private_keys import pem_of

MEBIBYTE = 1024 * 1024
#: folders of a stack that only its owner may enter
PRIVATE = ("logs", "mail", "kafka")


class Directory:
    """Owned from take() to release()."""

    def __init__(self, path: Path, minimum_free_bytes: int) -> None:
        self.path = path
        self._minimum_free_bytes = minimum_free_bytes
        self._descriptor: int | None = None
        self._secrets: dict[str, str] = {}
        self._lock = threading.Lock()

    def take(self) -> None:
        """Create and own it. Raises StackInUse or DiskFull."""
        self.path.mkdir(parents=True, exist_ok=True)
        # Others may pass through, as PostgreSQL under its own user must, but not list or read: secrets, logs and mails
        # are here. This also closes a directory that an older version left open.
        self.path.chmod(0o711)
        for name in PRIVATE:
            if (self.path / name).is_dir():
                (self.path / name).chmod(0o700)
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise StackInUse(
                f"Một ngăn xếp khác đang chạy trong {self.path} (dừng: `{typed(self.path, 'down')}`).",
                f"another stack runs in {self.path}; `{typed(self.path, 'down')}` stops it",
            ) from None
        self._descriptor = descriptor
        if shutil.disk_usage(self.path).free < self._minimum_free_bytes:
            raise self.disk_full()
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode("ascii"))  # for `down`
        kept = self.path / "secrets.json"
        if kept.exists():
            self._secrets = json.loads(kept.read_text(encoding="utf-8"))

    def release(self) -> None:
        """Give up ownership; harmless when not taken."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                (self.path / "stack.json").unlink(missing_ok=True)
                (self.path / "environments.json").unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def write_environments(self, environments: Mapping[str, Mapping[str, str]]) -> None:
        """Write the environment of each service's operator commands; mode 600, since it holds passwords."""
        descriptor = os.open(self.path / "environments.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(environments, file)

    def disk_full(self) -> DiskFull:
        """The error that states how much space is free and how much is needed."""
        free = shutil.disk_usage(self.path).free // MEBIBYTE
        need = self._minimum_free_bytes // MEBIBYTE
        return DiskFull(
            f"Đĩa chứa {self.path} chỉ còn {free} MiB, cần ít nhất {need} MiB.",
            f"{free} MiB left where {self.path} is, {need} MiB are needed; free some space, or `make clean`",
        )

    def secret(self, name: str) -> str:
        """A random secret of 48 hexadecimal digits, the same at every start."""
        with self._lock:
            if name not in self._secrets:
                self._keep(name, secrets.token_hex(24))
            return self._secrets[name]

    def kept_secret(self, name: str) -> str | None:
        """The secret that was kept under this name, if one was."""
        with self._lock:
            return self._secrets.get(name)

    def keep_secret(self, name: str, value: str) -> None:
        """Keep a secret that somebody else made."""
        with self._lock:
            self._keep(name, value)

    def _keep(self, name: str, value: str) -> None:
        self._secrets[name] = value
        path = self.path / "secrets.json"
        fresh = path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(self._secrets, file)
        fresh.replace(path)

    def key_file(self, name: str) -> Path:
        """A file with an Ed25519 private key (PEM, mode 600), the same at every start."""
        return self._made_once(name, lambda: pem_of(Ed25519PrivateKey.generate()))

    def webhook_key_file(self) -> Path:
        """The file with the master key of webhooks (mode 600), the same at every start."""
        return self._made_once(
            "webhook_keys", lambda: line_of(secrets.token_hex(4), secrets.token_bytes(SECRET_BYTES)).encode()
        )

    def _made_once(self, name: str, make: Callable[[], bytes]) -> Path:
        path = self.path / name
        with self._lock:
            if not path.exists():
                fresh = path.with_suffix(".new")
                descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with open(descriptor, "wb") as file:
                    file.write(make())
                fresh.replace(path)
        return path

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Write what runs where, for `status`; must not hold secrets."""
        path = self.path / "stack.json"
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(state, indent=1), encoding="utf-8")
        fresh.replace(path)
