"""Which network addresses a system may be dialled at: pure judgement, no I/O.

An own table instead of `ipaddress`'s ``is_global``: on CPython 3.11 that calls
``64:ff9b::7f00:1``, ``2002:7f00:1::``, ``::127.0.0.1`` and ``224.0.0.1`` global, and
later versions differ again (security 26). Sources: the IANA special-purpose address
registries, RFC 6052 (NAT64), RFC 3056 (6to4), cloud vendors' metadata pages.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Reach: TypeAlias = Literal["inside", "outside"]

_PRIVATE: Final = "private network"
_REFUSED_TABLE: Final = {
    "this network": ("0.0.0.0/8", "::/96"),
    _PRIVATE: ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
    "shared address space": ("100.64.0.0/10",),
    "loopback": ("127.0.0.0/8", "::1/128"),
    "link-local": ("169.254.0.0/16", "fe80::/10"),
    "site-local": ("fec0::/10",),
    "protocol assignments": ("192.0.0.0/24", "192.88.99.0/24", "2001::/23"),
    "documentation": (
        "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32",
        "3fff::/20",
    ),
    "benchmarking": ("198.18.0.0/15",),
    "multicast or reserved": ("224.0.0.0/3", "ff00::/8"),
    "local translation": ("64:ff9b:1::/48",),
    "discard only": ("100::/64",),
    "segment routing": ("5f00::/16",),
}  # fmt: skip

REFUSED: Final[tuple[tuple[IpNetwork, str], ...]] = tuple(
    sorted(
        (
            (ipaddress.ip_network(text), kind)
            for kind, texts in _REFUSED_TABLE.items()
            for text in texts
        ),
        key=lambda entry: -entry[0].prefixlen,  # the narrowest names the address
    )
)
"""Networks that are refused unless listed, narrowest first, with their names."""

METADATA: Final = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",
        "fd00:ec2::254",
        "168.63.129.16",
        "100.100.100.200",
    )
)
"""Cloud metadata services: refused whatever the configuration says."""

_INSIDE: Final = frozenset({_PRIVATE, "shared address space"})
_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR: Final = ipaddress.IPv6Network("2002::/16")
_LOW_32: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Policy:
    """Where one system may connect to (security 24-26).

    Args:
        egress: Every host (as `ascii_host` writes it) and port it may dial.
        reach: ``inside`` may dial private networks, ``outside`` public ones only.
        allow: Networks that are permitted beyond that; never metadata services.
    """

    egress: frozenset[tuple[str, int]] = frozenset()
    reach: Reach = "outside"
    allow: tuple[IpNetwork, ...] = field(default=())

    def permits(self, host: str, port: int) -> bool:
        """Whether this host and port stand in the egress list."""
        return (ascii_host(host), port) in self.egress


def policy(
    egress: Iterable[tuple[str, int]], *, reach: Reach, allow: Iterable[str] = ()
) -> Policy:
    """Build a `Policy` from plain texts.

    Raises:
        ConfigurationError: ``net.host`` or ``net.network``: not a host or a network.
    """
    try:
        networks = tuple(ipaddress.ip_network(text) for text in allow)
    except ValueError:
        msg = "An entry of allow_networks is not a network such as 10.0.0.0/8."
        raise ConfigurationError(msg, code="net.network") from None
    pairs = frozenset((ascii_host(host), port) for host, port in egress)
    return Policy(pairs, reach, networks)


def unwrap(address: IpAddress) -> IpAddress:
    """The IPv4 address inside a mapped, NAT64 or 6to4 one; else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    number = int(address)
    if address in _MAPPED or address in _NAT64:
        return ipaddress.IPv4Address(number & _LOW_32)
    if address in _SIX_TO_FOUR:
        return ipaddress.IPv4Address(number >> 80 & _LOW_32)
    return ipaddress.IPv6Address(number)  # without a zone such as %eth0


def refusal(text: str, rules: Policy) -> str | None:
    """Why an address is refused, as a class of network; None if it is permitted.

    Args:
        text: A numeric address as the resolver returned it.
        rules: The system's policy.
    """
    address = unwrap(ipaddress.ip_address(text))
    if address in METADATA:
        return "cloud metadata service"
    if any(address in network for network in rules.allow):
        return None
    kind = next((name for network, name in REFUSED if address in network), None)
    if kind in _INSIDE and rules.reach == "inside":
        return None
    return kind


def ascii_host(host: str) -> str:
    """The host as it is compared and dialled: ASCII, lower case, no trailing dot.

    Only for comparing with the egress list: which address a text means is left to
    the resolver, and only the resolved address is judged (security 27).

    Raises:
        ConfigurationError: ``net.host``: empty, too long, or with characters that no
            host may hold (user information, path, spaces, controls).
    """
    plain = host.strip("[]").rstrip(".")
    try:
        name = plain if plain.isascii() else plain.encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    usable = all(char.isalnum() or char in "-._:%" for char in name)
    if not name or len(name) > 253 or not usable:  # noqa: PLR2004 - RFC 1035 2.3.4
        msg = "A host name is empty, too long or holds characters no host may have."
        raise ConfigurationError(msg, code="net.host")
    return name.lower()
