"""Where webhooks may go: https on the web's ports, to public addresses alone. Pure.

What a URL says is judged where it is registered. A name may stand for any address, so the address it resolves to is
judged again before each connection, which goes to that very address.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from ipaddress import IPv4Network as V4
from urllib.parse import urlsplit

from msgspec import Struct

from shared.contract.events.fields import Words

Networks = Sequence[V4 | IPv6Network]

MAX_URL_CHARACTERS = 500
PORTS = (443, 8443)
#: names that only a network of one's own answers (RFC 6761, RFC 6762, RFC 8375, ICANN's `internal`)
_OWN_NETWORK = ("localhost", "local", "internal", "home.arpa", "lan", "intranet", "corp", "home", "test", "invalid")
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)")
_GLOBAL_UNICAST, _TEREDO, _6TO4 = (IPv6Network(net) for net in ("2000::/3", "2001::/32", "2002::/16"))


class Target(Struct, frozen=True):
    """A URL taken apart. `host`: a name in lower case, or an address without brackets; `path`: with the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"


def networks_of(text: str) -> Networks:
    """Networks in CIDR notation, parted by commas. Raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def is_reachable(address: str, private: Networks = ()) -> bool:
    """Whether a webhook may be sent to this address: a public one, or one in a network that is allowed by name."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return any(ip.version == network.version and ip in network for network in private) or _is_public(ip)


def _is_public(ip: IPv4Address | IPv6Address) -> bool:
    if not ip.is_global or ip.is_multicast or ip.is_reserved or ip.is_unspecified:
        return False
    # of IPv6 what is routed; the forms that wrap an IPv4 address would lead to it
    return isinstance(ip, IPv4Address) or (ip in _GLOBAL_UNICAST and ip not in _TEREDO and ip not in _6TO4)


def read_target(url: str, private: Networks = ()) -> Target | Words:
    """The URL taken apart, or what is wrong with it.

    private: networks that are allowed beside public ones, for tests and machines of one's own; to literal addresses of
    these plain http on any port is allowed too.
    """
    if len(url) > MAX_URL_CHARACTERS or not _VISIBLE.fullmatch(url) or "\\" in url:
        return Words(
            f"Địa chỉ phải gồm 1–{MAX_URL_CHARACTERS} ký tự ASCII nhìn thấy được, không có dấu \\.",
            f"The URL must be 1–{MAX_URL_CHARACTERS} visible ASCII characters without a backslash.",
            "Mã hóa ký tự khác bằng %XX, tên miền bằng xn--….",
            "Write other characters as %XX, a domain name as xn--….",
        )
    try:
        parts = urlsplit(url)
        port, host = parts.port, (parts.hostname or "").rstrip(".")
    except ValueError:
        return _unreadable()
    if not host or parts.scheme not in ("https", "http"):
        return _unreadable()
    if "@" in parts.netloc or "#" in url:
        return Words(
            "Địa chỉ không được có tên người dùng, mật khẩu hay phần sau dấu #.",
            "The URL must hold no user name, password or fragment.",
            "Bỏ phần trước @ và sau #; bên nhận kiểm tra chữ ký thay cho mật khẩu.",
            "Leave out what stands before @ and after #; the receiver checks the signature instead.",
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    usual = 443 if parts.scheme == "https" else 80
    target = Target(parts.scheme, host, usual if port is None else port, path)
    literal = _literal(host)
    if literal is None:
        flaw = _flaw_of_name(host)
        if flaw is not None:
            return flaw
    elif is_reachable(host, private) and not is_reachable(host):
        return target
    elif not is_reachable(host, private):
        return _private()
    if parts.scheme != "https":
        return Words(
            "Địa chỉ phải bắt đầu bằng https://.",
            "The URL must begin with https://.",
            "Dùng https với chứng thư hợp lệ.",
            "Use https with a valid certificate.",
        )
    if target.port not in PORTS:
        return Words(
            f"Không gửi đến cổng {target.port}.",
            f"Nothing is sent to port {target.port}.",
            "Dùng cổng 443 hoặc 8443.",
            "Use port 443 or 8443.",
        )
    return target


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _flaw_of_name(host: str) -> Words | None:
    labels = host.split(".")
    # `127.1`, `0x7f.0.0.1`: resolvers take them for addresses
    if len(host) > 253 or not all(map(_LABEL.fullmatch, labels)) or _NUMBER.fullmatch(labels[-1]):
        return _unreadable()
    if len(labels) < 2 or any(host == name or host.endswith(f".{name}") for name in _OWN_NETWORK):
        return _private()
    return None


def _unreadable() -> Words:
    return Words(
        "Không phải địa chỉ https đầy đủ.",
        "This is no full https URL.",
        "Ví dụ https://bao-cao.example/thong-bao",
        "Such as https://bao-cao.example/thong-bao",
    )


def _private() -> Words:
    return Words(
        "Địa chỉ thuộc mạng nội bộ hoặc mạng riêng; hệ thống không gửi đến đó.",
        "The address belongs to a private or local network; nothing is sent there.",
        "Dùng tên miền công khai.",
        "Use a public domain name.",
    )
