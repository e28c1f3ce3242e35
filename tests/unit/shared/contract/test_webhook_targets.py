"""Webhooks go to public addresses over https, however the address is written."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.webhook_targets import Target, is_reachable, networks_of, read_target

LOOPBACK = networks_of("127.0.0.0/8, ::1/128")


@pytest.mark.parametrize(
    ("url", "port", "path"),
    [
        ("https://bao-cao.h99.example/thong-bao?a=1", 443, "/thong-bao?a=1"),
        ("https://BAO-CAO.example:8443", 8443, "/"),
        ("https://xn--bo-co-jra.example./", 443, "/"),
        ("https://203.0.114.7/x", 443, "/x"),
        ("https://[2001:4860:4860::8888]/x", 443, "/x"),
    ],
)
def test_public_https_urls_are_taken(url: str, port: int, path: str) -> None:
    target = read_target(url)
    assert isinstance(target, Target), target
    assert (target.port, target.path) == (port, path)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "bao-cao.example",
        "ftp://bao-cao.example/",
        "http://bao-cao.example/",
        "https:///x",
        "https://bao-cao.example:0/",
        "https://bao-cao.example:22/",
        "https://bao-cao.example:99999/",
        "https://user:secret@bao-cao.example/",
        "https://bao-cao.example/#x",
        "https://bao-cao.example/a b",
        "https://bao-cao.example\\@10.0.0.1/",
        "https://báo-cáo.example/",
        "https://localhost/",
        "https://intranet/",
        "https://may-chu.internal/",
        "https://x.localhost/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.0.0.1/",
        "https://0/",
        "https://10.1.2.3/",
        "https://100.64.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://192.168.1.1/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://[::1]/",
        "https://[::]/",
        "https://[fe80::1]/",
        "https://[fe80::1%25eth0]/",
        "https://[fd00::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/",
        "https://[2002:a00:1::]/",
        "https://[2001:0:a00:1::]/",
        f"https://bao-cao.example/{'x' * 500}",
    ],
)
def test_what_leads_elsewhere_is_refused_in_both_languages(url: str) -> None:
    flaw = read_target(url)
    assert not isinstance(flaw, Target)
    assert all(flaw)


def test_a_network_that_is_allowed_takes_plain_http_on_any_port_and_no_other_does() -> None:
    assert isinstance(read_target("http://127.0.0.1:9000/hook", LOOPBACK), Target)
    assert isinstance(read_target("http://[::1]:9000/hook", LOOPBACK), Target)
    for url in ("http://10.0.0.1/", "https://10.0.0.1/", "http://bao-cao.example/", "http://203.0.114.7/"):
        assert not isinstance(read_target(url, LOOPBACK), Target), url


@given(st.ip_addresses())
def test_what_is_not_of_the_public_internet_is_never_reachable(address: object) -> None:
    ip = ip_address(str(address))
    if ip.is_private or ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        assert not is_reachable(str(ip))


@given(st.text(max_size=60), st.sampled_from(["", "https://", "https://a.example", "https://["]))
def test_no_text_makes_it_raise(text: str, before: str) -> None:
    read_target(before + text)


def test_the_authority_names_a_port_only_where_it_is_another() -> None:
    assert Target("https", "a.example", 443, "/").authority == "a.example"
    assert Target("https", "2001:db8::1", 8443, "/").authority == "[2001:db8::1]:8443"
