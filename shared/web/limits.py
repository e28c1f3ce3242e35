"""Limits on what one client may use of a server, and the proxies whose X-Forwarded-For is trusted."""

from __future__ import annotations

import ipaddress
import resource
from collections.abc import Iterable, Sequence

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

IPv4OrIPv6Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: descriptors kept for database, Kafka, files and what the process opens while it works
RESERVED_DESCRIPTORS = 128
#: a useful upper bound: every connection costs a few KiB and time in the sweep
MOST_CONNECTIONS = 10_000
#: longest chain of proxies that is followed; a longer one is forged
_MOST_HOPS = 16


class HttpSettings(BaseSettings):
    """Prefix HTTP_. Limits of every service's server, before a request reaches the application."""

    model_config = SettingsConfigDict(env_prefix="HTTP_", frozen=True)

    #: names and values of all headers with the request line; 431 beyond
    max_head_bytes: int = Field(default=16_384, ge=1_024, le=1_048_576)
    #: headers of one request; 431 beyond
    max_headers: int = Field(default=100, ge=8, le=1_000)
    #: 414 beyond
    max_url_bytes: int = Field(default=8_192, ge=256, le=65_536)
    #: a new connection that sends nothing is closed after this
    first_byte_timeout_seconds: float = Field(default=10, gt=0)
    #: from the first byte of a request to the end of its head; 408 beyond
    head_timeout_seconds: float = Field(default=10, gt=0)
    #: from the head to the last byte of the body; 408 beyond
    body_timeout_seconds: float = Field(default=60, gt=0)
    #: a body sent or a response read more slowly than `min_bytes_per_second` over this time ends the connection
    stall_timeout_seconds: float = Field(default=10, gt=0)
    min_bytes_per_second: int = Field(default=500, ge=1)
    #: how long the client may take to read the rest of a response
    answer_timeout_seconds: float = Field(default=120, gt=0)
    #: a connection between two requests is closed after this; longer than the proxy's own, or the proxy meets resets
    keep_alive_timeout_seconds: float = Field(default=75, gt=0)
    #: connections of one address (IPv6: one /64); addresses of `trusted_proxies` are bounded by the whole alone
    max_connections_per_address: int = Field(default=512, ge=1)
    #: connections in total; 0: as many as the limit on open files allows, at most 10,000
    max_connections: int = Field(default=0, ge=0)
    #: addresses and networks, separated by commas, whose X-Forwarded-For is trusted; empty: none
    trusted_proxies: str = ""

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, text: str) -> str:
        networks(text)
        return text

    def connections_in_all(self) -> int:
        """The bound on connections: as set, but never more than the open-file limit allows."""
        available = descriptors()
        most = min(MOST_CONNECTIONS, available - min(RESERVED_DESCRIPTORS, available // 2))
        return min(self.max_connections, most) if self.max_connections else most


def descriptors() -> int:
    """How many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1_048_576 if soft == resource.RLIM_INFINITY else soft


def raise_descriptors() -> None:
    """Raise the soft limit on open files to the hard one; the usual 1,024 exists for programs that use select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + RESERVED_DESCRIPTORS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft not in (resource.RLIM_INFINITY,) and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def networks(text: str) -> tuple[IPv4OrIPv6Network, ...]:
    """Parse addresses and networks separated by commas. Raises ValueError that names the bad item."""
    found = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        try:
            found.append(ipaddress.ip_network(item))
        except ValueError:
            raise ValueError(
                f"{item!r} không phải địa chỉ hay mạng IP / is no IP address or network (10.0.0.5, 10.0.0.0/24)"
            ) from None
    return tuple(found)


def is_in(address: str, trusted: Iterable[IPv4OrIPv6Network]) -> bool:
    """Whether the address is in one of the networks; False for text that is no address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in network for network in trusted)


def address_key(address: str) -> str:
    """The key an address is counted under: the /64 for IPv6, since one client has all of it."""
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return f"{ipaddress.IPv6Address(int(found) >> 64 << 64)}/64"


def forwarded_client(
    headers: Sequence[tuple[bytes, bytes]], peer: str, trusted: Sequence[IPv4OrIPv6Network]
) -> str | None:
    """The client that a trusted proxy names in X-Forwarded-For, or None where the header names none.

    Every proxy appends the address it saw, so the first address from the right that is no trusted proxy is the client;
    the client may have written anything left of it. Text that is no address ends the search.
    """
    values = [value for name, value in headers if name == b"x-forwarded-for"]
    if not values:
        return None
    client = None
    for word in reversed(b",".join(values).decode("latin-1").split(",")[-_MOST_HOPS:]):
        try:
            address = str(ipaddress.ip_address(word.strip()))
        except ValueError:
            break
        client = address
        if not is_in(address, trusted):
            break
    return client
