"""How much of a server one client may take: sizes, times and connections, and whose word about an address counts."""

from __future__ import annotations

import ipaddress
import resource
from collections.abc import Iterable, Sequence

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

IPv4OrIPv6Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: descriptors kept for database, Kafka, files and what the process opens while it works
RESERVED_DESCRIPTORS = 128
#: more connections than this help nobody: each costs the sweep and a few KiB
MOST_CONNECTIONS = 10_000
#: proxies in a chain that are looked through; who needs more has forged them
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
    #: a new connection that says nothing is closed after this
    first_byte_timeout_seconds: float = Field(default=10, gt=0)
    #: from the first byte of a request to the end of its head; 408 beyond
    head_timeout_seconds: float = Field(default=10, gt=0)
    #: from the head to the last byte of the body; 408 beyond
    body_timeout_seconds: float = Field(default=60, gt=0)
    #: a body that comes, or an answer that is read, more slowly than `min_bytes_per_second` over this time is given up
    stall_timeout_seconds: float = Field(default=10, gt=0)
    min_bytes_per_second: int = Field(default=500, ge=1)
    #: how long the client may take to read what is left of an answer
    answer_timeout_seconds: float = Field(default=120, gt=0)
    #: a connection between two requests is closed after this; longer than the proxy's own, or the proxy meets resets
    keep_alive_timeout_seconds: float = Field(default=75, gt=0)
    #: connections of one address (IPv6: one /64); addresses of `trusted_proxies` are bounded by the whole alone
    max_connections_per_address: int = Field(default=512, ge=1)
    #: connections in all; 0: what the limit of open files leaves, at most 10,000
    max_connections: int = Field(default=0, ge=0)
    #: addresses and networks, by comma, whose X-Forwarded-For is believed; empty: nobody's
    trusted_proxies: str = ""

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, text: str) -> str:
        networks(text)
        return text

    def connections_in_all(self) -> int:
        """The bound on connections: as set, but never more than descriptors are there for."""
        available = descriptors()
        most = min(MOST_CONNECTIONS, available - min(RESERVED_DESCRIPTORS, available // 2))
        return min(self.max_connections, most) if self.max_connections else most


def descriptors() -> int:
    """How many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1_048_576 if soft == resource.RLIM_INFINITY else soft


def raise_descriptors() -> None:
    """Take the open files that the system grants anyway: the soft limit of 1,024 is for programs that use select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + RESERVED_DESCRIPTORS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft not in (resource.RLIM_INFINITY,) and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def networks(text: str) -> tuple[IPv4OrIPv6Network, ...]:
    """The addresses and networks in a list by comma. Raises ValueError, naming the item."""
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
    """Whether the address is in one of the networks; what is no address is in none."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in network for network in trusted)


def address_key(address: str) -> str:
    """Under which name an address is counted: an IPv6 client has a whole /64 to itself."""
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

    Read from the right: each proxy appends the address it saw, so the first one that is no proxy of ours is the client,
    and whatever stands left of it the client wrote itself. A word that is no address ends the reading.
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
