"""Which host keys are the right ones. Pure, but for reading ``known_hosts``.

Source: the ``SHA256:`` form of OpenSSH (``ssh-keygen -lf``): base64 without padding of
the SHA-256 of the key's wire form; sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
from typing import TYPE_CHECKING, Final, NamedTuple

from moatbridge_sftp.wire.faults import misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterable

_PREFIX: Final = "SHA256:"
_LENGTH: Final = 32
_SSH_PORT: Final = 22
_FIELDS: Final = 3
_FILE: Final = 4 * 1024 * 1024
_TYPES: Final = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
}


class Pins(NamedTuple):
    """What one server may show.

    Attributes:
        digests: SHA-256 of each permitted key.
        algorithms: Those to ask for first: ``known_hosts`` told the type, or the
            fingerprint is followed by it, as in ``SHA256:4kz0 (ssh-rsa)``.
    """

    digests: tuple[bytes, ...]
    algorithms: tuple[str, ...]


def fingerprint(key: bytes) -> str:
    """The ``SHA256:...`` form of a public key's wire form."""
    digest = base64.b64encode(hashlib.sha256(key).digest())
    return _PREFIX + digest.decode("ascii").rstrip("=")


def pins(
    host: str, port: int, host_keys: Iterable[str], known_hosts: str | None
) -> Pins:
    """Everything the settings permit for one server.

    Raises:
        ConfigurationError: ``sftp.host-key``: none at all, or unreadable ones.
    """
    digests: list[bytes] = []
    algorithms: list[str] = []
    for text in host_keys:
        shown, _, kind = text.strip().partition(" ")
        digests.append(_digest(shown))
        algorithms += _TYPES.get(kind.strip("( )"), ())
    if known_hosts is not None:
        for kind, key in _known(known_hosts, host, port):
            digests.append(hashlib.sha256(key).digest())
            algorithms += _TYPES.get(kind, ())
    if not digests:
        raise misconfigured(
            "host-key",
            f"No host key is configured for {host}:{port}. Run `moatbridge check "
            "--show-host-key`, compare what it prints with the server's owner, and set "
            '`host_keys = ["SHA256:..."]`.',
        )
    return Pins(tuple(digests), tuple(dict.fromkeys(algorithms)))


def check(found: bytes, allowed: Pins, host: str, port: int) -> None:
    """Compare a server's key with the pins, every one of them, in constant time.

    Raises:
        ConfigurationError: ``sftp.host-key``, with both fingerprints.
    """
    digest = hashlib.sha256(found).digest()
    matches = [hmac.compare_digest(digest, pin) for pin in allowed.digests]
    if any(matches):
        return
    expected = ", ".join(_shown(pin) for pin in allowed.digests[:4])
    raise misconfigured(
        "host-key",
        f"{host}:{port} shows the host key {fingerprint(found)}, but {expected} is "
        "configured. Either the server was changed or somebody stands between: do not "
        "continue until its owner confirms the new key. Nothing was sent to it.",
    )


def families(offered: str, tried: str) -> list[tuple[str, ...]]:
    """Kinds of keys that a server also has, beside the one it showed.

    Args:
        offered: Its list of host key algorithms, joined by commas.
        tried: Name of the key it showed.
    """
    names = offered.split(",")
    return [
        kinds
        for kind, kinds in _TYPES.items()
        if kind != tried and any(name in names for name in kinds)
    ]


def _digest(text: str) -> bytes:
    body = text.removeprefix(_PREFIX)
    try:
        digest = base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if not text.startswith(_PREFIX) or len(digest) != _LENGTH:
        words = "`host_keys` must hold `SHA256:...`, as `ssh-keygen -lf` prints it."
        raise misconfigured("host-key", words)
    return digest


def _shown(digest: bytes) -> str:
    return _PREFIX + base64.b64encode(digest).decode("ascii").rstrip("=")


def _known(path: str, host: str, port: int) -> list[tuple[str, bytes]]:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - a path of the config
            lines = file.read(_FILE).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        words = f"`known_hosts` cannot be read ({type(error).__name__})."
        raise misconfigured("host-key", words) from None
    return known_keys(lines, host if port == _SSH_PORT else f"[{host}]:{port}")


def known_keys(lines: Iterable[str], name: str) -> list[tuple[str, bytes]]:
    """Type and wire form of the keys that ``known_hosts`` lines give one name.

    Plain and hashed names are understood; patterns are not (they match nothing).

    Raises:
        ConfigurationError: ``sftp.host-key``: a ``@revoked`` or ``@cert-authority``
            line for that name, which must not be passed over in silence.
    """
    found = []
    for line in lines:
        fields = line.split()
        marked = bool(fields) and fields[0].startswith("@")
        if len(fields) < _FIELDS + marked or line.lstrip().startswith("#"):
            continue
        names, kind, body = fields[marked : marked + _FIELDS]
        if not any(_is_name(text, name) for text in names.split(",")):
            continue
        if marked:
            raise misconfigured(
                "host-key",
                "`known_hosts` has a line with a marker (@revoked, @cert-authority) "
                "for this server, which is not supported; list the valid keys in "
                "`host_keys` instead.",
            )
        with contextlib.suppress(binascii.Error, ValueError):
            found.append((kind, base64.b64decode(body, validate=True)))
    return found


def _is_name(text: str, name: str) -> bool:
    """Compare a name of the file, which may be ``|1|salt|HMAC-SHA1 of the name``."""
    parts = text.split("|")
    if len(parts) != 4 or parts[1] != "1":  # noqa: PLR2004 - the form above
        return text.lower() == name.lower()
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in parts[2:])
    except (binascii.Error, ValueError):
        return False
    made = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return hmac.compare_digest(made, digest)
