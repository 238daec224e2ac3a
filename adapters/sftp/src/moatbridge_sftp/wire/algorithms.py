"""Which algorithms we offer, and in what order. Pure.

paramiko offers CBC, 3DES, MD5 and SHA-1 MACs and puts GCM last; SHA-1 RSA signatures,
DSA and the old groups it does not have at all. Sources: RFC 9142; CVE-2023-48795.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from moatbridge_sftp.wire.faults import misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moatbridge.errors import ConfigurationError

NO_STRICT_KEX: Final = "no-strict-kex"

CIPHERS: Final = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes256-ctr",
    "aes128-ctr",
)
MACS: Final = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
_OLD_CIPHERS: Final = (
    "aes192-ctr", "aes256-cbc", "aes192-cbc", "aes128-cbc", "3des-cbc",
)  # fmt: skip
_OLD_MACS: Final = ("hmac-sha1", "hmac-sha1-96", "hmac-md5", "hmac-md5-96")


class Offer(NamedTuple):
    """What we offer."""

    ciphers: tuple[str, ...]
    macs: tuple[str, ...]
    strict_kex: bool


def offer(legacy: Iterable[str]) -> Offer:
    """The lists, with what ``legacy_algorithms`` allows again at their end.

    Raises:
        ConfigurationError: ``sftp.algorithms``: a name that cannot be allowed.
    """
    wanted = set(legacy)
    ciphers = tuple(name for name in _OLD_CIPHERS if name in wanted)
    macs = tuple(name for name in _OLD_MACS if name in wanted)
    unknown = wanted - {*ciphers, *macs, *CIPHERS, *MACS, NO_STRICT_KEX}
    if unknown:
        known = ", ".join((*_OLD_CIPHERS, *_OLD_MACS, NO_STRICT_KEX))
        raise misconfigured(
            "algorithms",
            f"`legacy_algorithms` holds {', '.join(sorted(unknown))}, which cannot be "
            f"allowed; it may hold: {known}. SHA-1 RSA keys, DSA and the groups 1 and "
            "14 with SHA-1 are gone for good: the server has to be updated.",
        )
    strict = NO_STRICT_KEX not in wanted
    return Offer(CIPHERS + ciphers, MACS + macs, strict)


def key_types(known: tuple[str, ...], first: tuple[str, ...]) -> tuple[str, ...]:
    """The host key algorithms, those of the pinned keys first."""
    pinned = tuple(name for name in first if name in known)
    return pinned + tuple(name for name in known if name not in pinned)


def no_common(
    ours: Mapping[str, Iterable[str]], theirs: Mapping[str, str]
) -> ConfigurationError:
    """What to say when there is no common algorithm: both sides of each such role."""
    lines = []
    for role, names in ours.items():
        mine, offered = list(names), theirs.get(role, "").split(",")
        if theirs and not set(mine) & set(offered):
            shown = ", ".join(offered)[:300]
            lines.append(f"{role}: the server has {shown}; we have {', '.join(mine)}")
    return misconfigured(
        "algorithms",
        "No common SSH algorithm. "
        + ("; ".join(lines) or "The key exchange could not be agreed on")
        + ". Ask the owner to update the server; ciphers and MACs can be allowed again "
        "with `legacy_algorithms`.",
    )


def check_strict(offered: Offer, *, agreed: bool) -> None:
    """Refuse a server without the strict key exchange, unless that is allowed.

    Raises:
        ConfigurationError: ``sftp.algorithms``.
    """
    if agreed or not offered.strict_kex:
        return
    raise misconfigured(
        "algorithms",
        "The server does not support the strict key exchange, so a person in between "
        "could drop messages (CVE-2023-48795, Terrapin). Ask the owner to update it, "
        f'or accept the risk with `legacy_algorithms = ["{NO_STRICT_KEX}"]`.',
    )
