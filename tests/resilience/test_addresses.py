from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.errors import ConfigurationError
from moatbridge.resilience.addresses import (
    METADATA,
    REFUSED,
    ascii_host,
    policy,
    refusal,
    unwrap,
)

OUTSIDE = policy([], reach="outside")
INSIDE = policy([], reach="inside")

REFUSED_FROM_OUTSIDE = [
    ("0.0.0.0", "this network"),
    ("0.1.2.3", "this network"),
    ("10.0.0.1", "private network"),
    ("10.255.255.255", "private network"),
    ("100.64.0.1", "shared address space"),
    ("127.0.0.1", "loopback"),
    ("127.255.0.1", "loopback"),
    ("169.254.1.1", "link-local"),
    ("172.16.0.1", "private network"),
    ("172.31.255.255", "private network"),
    ("192.0.0.8", "protocol assignments"),
    ("192.0.2.1", "documentation"),
    ("192.88.99.1", "protocol assignments"),
    ("192.168.1.1", "private network"),
    ("198.18.0.1", "benchmarking"),
    ("198.51.100.1", "documentation"),
    ("203.0.113.1", "documentation"),
    ("224.0.0.1", "multicast or reserved"),
    ("240.0.0.1", "multicast or reserved"),
    ("255.255.255.255", "multicast or reserved"),
    ("::", "this network"),
    ("::1", "loopback"),
    ("::127.0.0.1", "this network"),
    ("::ffff:127.0.0.1", "loopback"),
    ("::ffff:10.0.0.1", "private network"),
    ("64:ff9b::7f00:1", "loopback"),
    ("64:ff9b::a00:1", "private network"),
    ("64:ff9b:1::1", "local translation"),
    ("2002:7f00:1::", "loopback"),
    ("2002:0a00:1::1", "private network"),
    ("2001:0:1::1", "protocol assignments"),
    ("2001:db8::1", "documentation"),
    ("3fff::1", "documentation"),
    ("5f00::1", "segment routing"),
    ("100::1", "discard only"),
    ("fc00::1", "private network"),
    ("fdff::1", "private network"),
    ("fe80::1", "link-local"),
    ("fe80::1%eth0", "link-local"),
    ("fec0::1", "site-local"),
    ("ff02::1", "multicast or reserved"),
]


@pytest.mark.parametrize(("address", "kind"), REFUSED_FROM_OUTSIDE)
def test_refused_network_26(address: str, kind: str) -> None:
    assert refusal(address, OUTSIDE) == kind


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "93.184.215.14",
        "2606:4700::1111",
        "64:ff9b::101:101",
        "2002:101:101::",
    ],
)
def test_public_address_is_permitted(address: str) -> None:
    assert refusal(address, OUTSIDE) is None
    assert refusal(address, INSIDE) is None


@pytest.mark.parametrize(
    ("address", "permitted"),
    [
        ("10.1.2.3", True),
        ("172.20.0.1", True),
        ("192.168.0.9", True),
        ("fd12::1", True),
        ("100.64.0.1", True),
        ("::ffff:10.1.2.3", True),
        ("127.0.0.1", False),
        ("169.254.7.7", False),
        ("fe80::1", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),
    ],
)
def test_inside_reach_may_be_private_not_loopback_25(
    address: str, permitted: bool
) -> None:
    assert (refusal(address, INSIDE) is None) is permitted


@pytest.mark.parametrize("address", sorted(map(str, METADATA)))
def test_metadata_is_refused_even_when_listed_26(address: str) -> None:
    everything = policy([], reach="inside", allow=["0.0.0.0/0", "::/0"])
    assert refusal(address, everything) == "cloud metadata service"


@pytest.mark.parametrize(
    "wrapped",
    ["::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"],
)
def test_wrapped_metadata_is_refused_26(wrapped: str) -> None:
    everything = policy([], reach="inside", allow=["0.0.0.0/0", "::/0"])
    assert refusal(wrapped, everything) == "cloud metadata service"


def test_allow_networks_adds_and_nothing_more() -> None:
    rules = policy([], reach="outside", allow=["127.0.0.0/8", "10.9.0.0/16"])
    assert refusal("127.0.0.1", rules) is None
    assert refusal("::ffff:127.0.0.1", rules) is None
    assert refusal("10.9.1.1", rules) is None
    assert refusal("10.8.1.1", rules) == "private network"


@given(st.integers(0, 2**32 - 1))
def test_ipv4_is_judged_alike_in_every_wrapping(number: int) -> None:
    plain = ipaddress.IPv4Address(number)
    wrapped = [
        ipaddress.IPv6Address((0xFFFF << 32) | number),
        ipaddress.IPv6Address((0x64FF9B << 96) | number),
        ipaddress.IPv6Address((0x2002 << 112) | (number << 80) | 5),
    ]
    for address in wrapped:
        assert unwrap(address) == plain
        assert refusal(str(address), OUTSIDE) == refusal(str(plain), OUTSIDE)


@given(st.sampled_from(REFUSED), st.data())
def test_every_address_of_a_refused_network_is_refused(
    entry: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, str],
    data: st.DataObject,
) -> None:
    network = entry[0]
    first, last = int(network[0]), int(network[-1])
    number = data.draw(st.integers(first, last))
    make = type(network[0])
    assert refusal(str(make(number)), OUTSIDE) is not None


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("LDAP.Corp.Example.", "ldap.corp.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("[::1]", "::1"),
        ("\uff11\uff12\uff17.0.0.1", "127.0.0.1"),
    ],
)
def test_host_becomes_ascii_27(text: str, plain: str) -> None:
    assert ascii_host(text) == plain


@pytest.mark.parametrize(
    "text",
    ["", ".", "user@host", "host/path", "a b", "a\r\nb", "x" * 254, "a\x00b", "é" * 80],
)
def test_unusable_host_27(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ascii_host(text)
    assert caught.value.code == "net.host"


def test_egress_compares_normalised_hosts() -> None:
    rules = policy([("Ldap.Corp.Example.", 636)], reach="inside")
    assert rules.permits("ldap.corp.example", 636)
    assert not rules.permits("ldap.corp.example", 389)
    assert not rules.permits("evil.example", 636)


def test_policy_refuses_a_bad_network() -> None:
    with pytest.raises(ConfigurationError) as caught:
        policy([], reach="inside", allow=["not a network"])
    assert caught.value.code == "net.network"
