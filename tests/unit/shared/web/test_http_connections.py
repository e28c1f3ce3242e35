"""There is room for whoever has something to ask: who keeps nobody waiting goes first."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.web.limits import HttpSettings, address_key, descriptors, forwarded_client, networks
from tests.unit.shared.web.served import Served, echo_app, refused, serving

GET = b"GET /v1/echo HTTP/1.1\r\nHost: x\r\n\r\n"
HALF_BODY = b"POST /v1/store HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"


@pytest.mark.parametrize("said", [b"", b"GET /v1/e", GET], ids=["silent", "half a head", "between requests"])
@pytest.mark.parametrize(("most", "per_address"), [(5, 100), (100, 5)], ids=["in all", "of one address"])
def test_quiet_connections_give_way(said: bytes, most: int, per_address: int) -> None:
    before = refused("gave_way")
    with serving(echo_app(), max_connections=most, max_connections_per_address=per_address) as served:
        held = served.hold(12, said)
        assert served.ask(GET).status == 200
        assert refused("gave_way") >= before + 8
        for connection in held:
            connection.close()


def test_bodies_that_stopped_give_way_and_those_that_come_do_not() -> None:
    with serving(echo_app(), max_connections=4) as served:
        held = served.hold(4, HALF_BODY)
        answers = []
        # those that sent within the last second keep their place: the newcomer is told to come again
        for _ in range(10_000):
            answers.append(served.ask(GET))
            if answers[-1].status == 200:
                break
        assert answers[-1].status == 200
        for answer in answers[:-1]:
            answer.problem(503, "unavailable")
            assert answer.headers["retry-after"] == "1"
        for connection in held:
            connection.close()


def test_another_address_is_not_counted_with_its_neighbour() -> None:
    with serving(echo_app(), max_connections_per_address=3) as served:
        held = served.hold(3, HALF_BODY, "127.0.0.2")
        served.ask(GET, address="127.0.0.2").problem(503, "unavailable")
        assert served.ask(GET, address="127.0.0.3").status == 200
        for connection in held:
            connection.close()


def test_a_proxy_is_bounded_by_the_whole_alone() -> None:
    with serving(echo_app(), max_connections_per_address=3, trusted_proxies="127.0.0.2") as served:
        held = served.hold(6, HALF_BODY, "127.0.0.2")
        assert served.ask(GET, address="127.0.0.2").status == 200
        for connection in held:
            connection.close()


SERVER = """
import resource, sys, uvicorn
resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))
from shared.web.limits import HttpSettings
from shared.web.server import server_config
from tests.unit.shared.web.served import echo_app
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
config = server_config(echo_app(), host="127.0.0.1", port=0, settings=HttpSettings(max_connections_per_address=1000))
if sys.argv[1] == "control":
    config.http = HttpToolsProtocol
server = uvicorn.Server(config)
started = server.startup
async def startup(sockets=None):
    await started(sockets)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
server.startup = startup
server.run()
"""


@pytest.mark.parametrize("which", ["ours", "control"])
def test_330_silent_connections_beside_300_descriptors_shut_nobody_out(which: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", SERVER, which], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        served = Served(int(process.stdout.readline()), HttpToolsProtocol)  # type: ignore[arg-type]
        held = served.hold(330)
        if which == "ours":
            for _ in range(5):
                assert served.ask(GET).status == 200
        else:
            with pytest.raises((AssertionError, OSError)):
                served.ask(GET)
        for connection in held:
            connection.close()
    finally:
        process.terminate()
        process.wait(20)
        if process.stdout:
            process.stdout.close()


def test_connections_leave_descriptors_for_the_rest() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
        assert descriptors() == 300
        assert HttpSettings().connections_in_all() == 172
        assert HttpSettings(max_connections=50).connections_in_all() == 50
        assert HttpSettings(max_connections=5_000).connections_in_all() == 172
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


TRUSTED = networks("10.0.0.0/8, ::1")


@pytest.mark.parametrize(
    ("said", "client"),
    [
        (["203.0.113.9"], "203.0.113.9"),
        (["198.51.100.1, 203.0.113.9"], "203.0.113.9"),  # what the client wrote itself stands left
        (["203.0.113.9, 10.1.1.1"], "203.0.113.9"),
        (["203.0.113.9", "10.1.1.1"], "203.0.113.9"),
        (["10.2.2.2"], "10.2.2.2"),
        (["2001:db8::1"], "2001:db8::1"),
        (["x" * 5_000], None),
        (["203.0.113.9, unknown"], None),
        (["unknown, 203.0.113.9"], "203.0.113.9"),
        ([""], None),
        ([], None),
    ],
)
def test_the_client_is_the_nearest_address_that_is_no_proxy_of_ours(said: list[str], client: str | None) -> None:
    assert forwarded_client([(b"x-forwarded-for", word.encode()) for word in said], "10.0.0.1", TRUSTED) == client


def test_only_a_trusted_proxy_names_clients() -> None:
    request = GET[:-2] + b"X-Forwarded-For: 203.0.113.9\r\n\r\n"
    with serving(echo_app(), trusted_proxies="127.0.0.2") as served:
        assert served.ask(request, address="127.0.0.2").json()["client"] == "203.0.113.9"
        assert served.ask(request, address="127.0.0.3").json()["client"] == "127.0.0.3"
        bad = GET[:-2] + b"X-Forwarded-For: <script>\r\n\r\n"
        assert served.ask(bad, address="127.0.0.2").json()["client"] == "127.0.0.2"


def test_by_default_nobody_is_believed() -> None:
    request = GET[:-2] + b"X-Forwarded-For: 203.0.113.9\r\n\r\n"
    with serving(echo_app()) as served:
        assert served.ask(request).json()["client"] == "127.0.0.1"


def test_an_ipv6_client_is_counted_with_its_whole_network() -> None:
    assert address_key("2001:db8:1:2:3:4:5:6") == address_key("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert address_key("::ffff:192.0.2.1") == address_key("192.0.2.1") == "192.0.2.1"
    assert address_key("fe80::1%eth0") == "fe80::/64"


def test_a_wrong_network_is_named() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.999"):
        HttpSettings(trusted_proxies="10.0.0.1, 10.0.0.999")
