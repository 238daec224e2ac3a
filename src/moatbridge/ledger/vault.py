"""Content encrypted at rest: AES-256-GCM, value by value (delivery 2, ``key_file``).

A sealed value is text: a control character, eight digits that name the key, and the
base64 of nonce, ciphertext and tag. So values under several keys, and values from
before there was a key, can lie side by side. The first key seals; all of them open. A
nonce is 96 random bits: one key is good for some four thousand million values (NIST SP
800-38D section 8.3), and rotating it costs a line in the configuration.
"""

from __future__ import annotations

import base64
import binascii
import os
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.adapter import Secret

SIGN: Final = "\x02"
"""First character of every sealed value; no JSON text and no name begins with it."""

_NAME: Final = 8
_HEAD: Final = len(SIGN) + _NAME + 1
_BYTES: Final = 32
_NONCE: Final = 12


class Vault:
    """Seals and opens values; safe for threads. Holds the keys in memory.

    Args:
        keys: References to keys: 32 random bytes each, in base64 or as 64 hexadecimal
            digits. The first one seals.

    Raises:
        ConfigurationError: ``ledger.key``: one of them is no such key;
            ``ledger.crypto``: the library is not installed; ``secret.*``.
    """

    def __init__(self, keys: Sequence[Secret]) -> None:
        ciphers = {}
        for secret in keys:
            raw = _bytes_of(secret)
            ciphers[blake2b(raw, digest_size=_NAME // 2).hexdigest()] = _cipher(raw)
        self._ciphers: dict[str, Any] = ciphers
        self.names: tuple[str, ...] = tuple(ciphers)
        self._head = f"{SIGN}{self.names[0]}:"
        self._seal = ciphers[self.names[0]]
        self._once: frozenset[str] = frozenset(ciphers)

    def knows(self, names: Sequence[str]) -> None:
        """Remember names of keys that values of this ledger were sealed with."""
        self._once = self._once.union(names)

    def seal(self, text: str) -> str:
        """The text as it is kept."""
        nonce = os.urandom(_NONCE)
        sealed = self._seal.encrypt(nonce, text.encode(), None)
        return self._head + base64.b64encode(nonce + sealed).decode()

    def open(self, value: str) -> str:
        """The inverse of `seal`; other text is given back as it is.

        Raises:
            ConfigurationError: ``ledger.key``: sealed with a key that is not given, or
                changed since.
        """
        name = value[len(SIGN) : len(SIGN) + _NAME]
        if name not in self._once or value[_HEAD - 1 : _HEAD] != ":":
            return value
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise ConfigurationError(
                f"Something in the ledger is encrypted with the key {name}, which is "
                "not given any more. Put it behind the new one in ledger.key_file.",
                code="ledger.key",
            )
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - it is there

        try:
            raw = base64.b64decode(value[_HEAD:], validate=True)
            opened: bytes = cipher.decrypt(raw[:_NONCE], raw[_NONCE:], None)
        except (InvalidTag, ValueError):
            raise ConfigurationError(
                "Something in the ledger does not open with its own key: it was "
                "changed by somebody else. Restore the ledger from a backup.",
                code="ledger.key",
            ) from None
        return opened.decode()

    def __repr__(self) -> str:
        return f"Vault({', '.join(self.names)})"


def _bytes_of(secret: Secret) -> bytes:
    text = secret.get_secret_value().strip()
    for decode in (bytes.fromhex, _base64):
        try:
            raw = decode(text)
        except ValueError:
            continue
        if len(raw) == _BYTES:
            return raw
    raise ConfigurationError(
        f"ledger.key_file: {secret.reference} is no key. It must be 32 random bytes in "
        "base64; `openssl rand -base64 32` makes one.",
        code="ledger.key",
    )


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError from error


def _cipher(raw: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import (  # noqa: PLC0415
            AESGCM,
        )
    except ImportError:
        raise ConfigurationError(
            "ledger.key_file needs the library that encrypts: "
            "pip install 'moatbridge[crypto]'.",
            code="ledger.crypto",
        ) from None
    return AESGCM(raw)
