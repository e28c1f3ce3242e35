"""The proxy does what it is told to a connection, and nothing else: a fault that is not injected proves nothing."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from tests.programs.faults.proxy import Proxy, is_commit, is_produce, refuse_produce

TIMEOUT_SECONDS = 5.0


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that says everything back; its port."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=_say_back, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def _say_back(connection: socket.socket) -> None:
    with connection:
        try:
            while data := connection.recv(65536):
                connection.sendall(data)
        except OSError:
            return


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    with Proxy(echo) as proxy:
        yield proxy


def _connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=TIMEOUT_SECONDS)


def _asked(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    return connection.recv(65536)


def test_bytes_pass_both_ways(proxy: Proxy) -> None:
    with _connect(proxy) as connection:
        assert _asked(connection, b"hello") == b"hello"


def test_only_the_answer_to_the_chosen_request_is_lost(proxy: Proxy) -> None:
    proxy.lose_answer(lambda data: data == b"COMMIT", times=1)
    with _connect(proxy) as connection:
        assert _asked(connection, b"SELECT") == b"SELECT"
        with pytest.raises(ConnectionError):
            _asked(connection, b"COMMIT")
    assert proxy.lost_answers == 1
    with _connect(proxy) as connection:
        assert _asked(connection, b"COMMIT") == b"COMMIT"


def test_swallowed_answers_leave_the_connection_open(proxy: Proxy) -> None:
    with _connect(proxy) as connection:
        proxy.swallow_answers()
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            _asked(connection, b"hello")
        proxy.restore()
        connection.settimeout(TIMEOUT_SECONDS)
        assert _asked(connection, b"again") == b"again"


def test_silence_holds_bytes_back_until_restored(proxy: Proxy) -> None:
    with _connect(proxy) as connection:
        assert _asked(connection, b"one") == b"one"
        proxy.silence()
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            _asked(connection, b"two")
        proxy.restore()
        connection.settimeout(TIMEOUT_SECONDS)
        assert connection.recv(65536) == b"two"


def test_a_cut_resets_and_refuses_until_restored(proxy: Proxy) -> None:
    with _connect(proxy) as connection:
        assert _asked(connection, b"one") == b"one"
        proxy.cut()
        with pytest.raises(ConnectionError):
            connection.recv(1)
    proxy.restore()
    with _connect(proxy) as connection:
        assert _asked(connection, b"four") == b"four"


def test_a_commit_and_a_produce_are_told_from_other_requests() -> None:
    assert is_commit(b"Q\x00\x00\x00\x0cCOMMIT;\x00")
    assert not is_commit(b"Q\x00\x00\x00\x0cSELECT;\x00")
    produce = struct.pack(">ihhi", 100, 0, 3, 7) + b"\x00" * 100
    fetch = struct.pack(">ihhi", 100, 1, 3, 7) + b"\x00" * 100
    assert is_produce(produce)
    assert not is_produce(fetch)


def test_a_refused_produce_answer_carries_the_code_and_nothing_else_changes() -> None:
    name = b"submissions"
    head = struct.pack(">iii", 50, 7, 1) + struct.pack(">h", len(name)) + name + struct.pack(">ii", 1, 3)
    answer = head + struct.pack(">hqq", 0, 41, -1)
    assert refuse_produce(answer, 29) == head + struct.pack(">hqq", 29, 41, -1)
