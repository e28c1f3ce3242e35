"""Commands to a running supervisor about one of its components, over a socket in the stack's directory.

One request per connection, one line of JSON each way: `{"do": "stop", "name": "kafka"}` → `{"said": "…"}` or
`{"error": "…", "exit_code": 2}`. Only the owner of the directory can reach the socket (mode 600).
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.local.errors import StackError, UsageError
from deploy.local.options import typed
from deploy.local.stack import Stack

SOCKET = "control.sock"
ASK_SECONDS = 5.0
MAX_REQUEST_BYTES = 4096
#: how long a component may take to stop, start and be ready
ANSWER_SECONDS = 240.0

#: command -> message once it is done, in both languages
DEEDS = {
    "stop": "đã dừng / stopped",
    "start": "đã chạy / running",
    "restart": "đã chạy lại / restarted",
    "kill": "đã bị giết (SIGKILL) / killed",
    "pause": "tạm dừng (SIGSTOP) / paused",
    "resume": "chạy tiếp / resumed",
}


class Control:
    """Serves requests about one stack from start() to stop(), on its own thread."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._listener: socket.socket | None = None
        self._path = stack.directory / SOCKET

    def start(self) -> None:
        """Listen. Replaces the socket of an earlier supervisor, since this one holds the directory's lock."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        with _short(self._path) as place:
            listener.bind(place)
        self._path.chmod(0o600)
        listener.listen(4)
        self._listener = listener
        threading.Thread(target=self._serve, args=(listener,), name="local-stack-control", daemon=True).start()

    def stop(self) -> None:
        """Stop listening; harmless when repeated."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            self._path.unlink(missing_ok=True)

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # closed
            # in parallel, so that a component that is slow to become ready does not delay the next request
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(ASK_SECONDS)
            try:
                asked = json.loads(_line(connection))
                said: dict[str, Any] = {"said": self._do(str(asked["do"]), str(asked["name"]))}
            except StackError as error:
                said = {"error": error.message(), "exit_code": error.exit_code}
            except (ValueError, KeyError, TypeError) as error:
                said = {"error": f"yêu cầu không hợp lệ / bad request: {error!r}", "exit_code": 2}
            connection.sendall(json.dumps(said).encode() + b"\n")

    def _do(self, deed: str, name: str) -> str:
        component = self._stack.component(name)
        match deed:
            case "stop":
                component.stop()
            case "start":
                component.start()
                component.wait_ready()
            case "restart":
                component.restart()
            case "kill":
                component.kill()
            case "pause":
                component.pause()
            case "resume":
                component.resume()
            case _:
                raise UsageError(f"Không biết làm {deed!r}.", f"there are: {', '.join(DEEDS)}")
        if deed in ("start", "restart") and name.startswith("kafka"):
            self._stack.provision_topics()  # a wiped broker, or Tansu, comes back without topics
        self._stack.write_state()
        return f"{component.name}: {DEEDS[deed]}"


class Watch:
    """Reports each component that ends by itself, once; the others go on, as they would on separate machines."""

    def __init__(self, stack: Stack, say: Callable[[str], None]) -> None:
        self._stack, self._say = stack, say
        self._reported: set[str] = set()

    def look(self) -> None:
        """Check for components that have ended; call it often."""
        crashed = {component.name: component for component in self._stack.crashed()}
        for name in crashed.keys() - self._reported:
            self._say(f"✗ {crashed[name].failure().message()}")
            self._say(f"  chạy lại / start it again: {typed(self._stack.directory, 'start', name)}")
        if crashed.keys() != self._reported:
            self._reported = set(crashed)
            self._stack.write_state()


def ask(directory: Path, deed: str, name: str) -> str:
    """Send a command to the supervisor of a directory; returns its answer. Raises StackError with its reason."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            with _short(directory / SOCKET) as place:
                connection.connect(place)
            connection.sendall(json.dumps({"do": deed, "name": name}).encode() + b"\n")
            answer = json.loads(_line(connection))
        except TimeoutError:
            raise StackError("Ngăn xếp không trả lời kịp.", f"no answer within {ANSWER_SECONDS:.0f} s") from None
        except (OSError, ValueError):
            raise UsageError(
                "Ngăn xếp chưa chạy; hãy `make up`.", "the stack is not running; `make up` first"
            ) from None
    if "error" in answer:
        raise _Answered(str(answer["error"]), int(answer["exit_code"]))
    return str(answer["said"])


class _Answered(StackError):
    """An error whose message comes from the supervisor."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text, text)
        self.exit_code = exit_code

    def message(self) -> str:
        return self.vi


def _line(connection: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"\n"):
        chunk = connection.recv(MAX_REQUEST_BYTES)
        if not chunk or len(received) + len(chunk) > 16 * MAX_REQUEST_BYTES:
            break
        received += chunk
    return received


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A path of the socket under 108 bytes, the kernel's limit, even in a deep directory."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
