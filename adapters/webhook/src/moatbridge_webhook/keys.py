"""Signing keys of Standard Webhooks 1.0.0: how they are written, and what they sign.

``whsec_`` + base64 of 24 to 64 random bytes is a shared key (HMAC-SHA256, signatures
``v1,``). ``whsk_`` and ``whpk_`` are the private and public half of an Ed25519 pair
(signatures ``v1a,``; extra ``[ed25519]``). Verification compares the *text* of a
signature, so no second spelling of the same bytes is accepted.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import TYPE_CHECKING, Any, Final, Protocol

from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from moatbridge.adapter import Secret

SHARED: Final = "whsec_"
PRIVATE: Final = "whsk_"
PUBLIC: Final = "whpk_"
SHORTEST: Final = 24
LONGEST: Final = 64

_SEED: Final = 32
_EXPANDED: Final = 64


class SigningKey(Protocol):
    """Makes one signature, with its version in front."""

    def __call__(self, content: bytes, /) -> str:
        """The signature of these bytes: ``v1,`` or ``v1a,`` and base64."""


def signing_key(secret: Secret) -> SigningKey:
    """The key that a secret holds.

    Raises:
        ConfigurationError: ``webhook.key``; never tells the value. ``secret.*``.
    """
    text = secret.get_secret_value()
    if text.startswith(PRIVATE):
        return _private(_decoded(text.removeprefix(PRIVATE), secret), secret)
    if not text.startswith(SHARED):
        raise _unusable(secret, f"must start with {SHARED} or {PRIVATE}")
    key = shared_key(secret)
    return lambda content: "v1," + _base64(hmac.digest(key, content, "sha256"))


def shared_key(secret: Secret) -> bytes:
    """The bytes of a ``whsec_`` secret.

    Raises:
        ConfigurationError: ``webhook.key``, ``secret.*``.
    """
    text = secret.get_secret_value().removeprefix(SHARED)
    key = _decoded(text, secret)
    if not SHORTEST <= len(key) <= LONGEST:
        raise _unusable(secret, f"must hold {SHORTEST} to {LONGEST} bytes")
    return key


def signature_of(key: bytes, content: bytes) -> str:
    """Hexadecimal HMAC-SHA256, lower case."""
    return hmac.new(key, content, hashlib.sha256).hexdigest()


def same(given: str, wanted: str) -> bool:
    """Whether two texts are equal, in a time that tells not where they differ."""
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())


def public_key(raw: bytes, secret: Secret) -> Any:
    """An Ed25519 public key with ``verify(signature, content)``.

    Raises:
        ConfigurationError: ``webhook.key``, ``webhook.ed25519``.
    """
    if len(raw) != _SEED:
        raise _unusable(secret, "must hold 32 bytes")
    return _ed25519().Ed25519PublicKey.from_public_bytes(raw)


def public_bytes(secret: Secret) -> bytes:
    """The bytes of a ``whpk_`` secret, or of 64 hexadecimal digits.

    Raises:
        ConfigurationError: ``webhook.key``, ``secret.*``.
    """
    text = secret.get_secret_value()
    if text.startswith(PUBLIC):
        return _decoded(text.removeprefix(PUBLIC), secret)
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise _unusable(secret, f"must be {PUBLIC}... or hexadecimal") from None


def verifies(key: Any, signature: bytes, content: bytes) -> bool:
    """Whether an Ed25519 signature is true."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - an extra

    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True


def _private(raw: bytes, secret: Secret) -> SigningKey:
    if len(raw) not in {_SEED, _EXPANDED}:
        raise _unusable(secret, "must hold 32 or 64 bytes")
    key = _ed25519().Ed25519PrivateKey.from_private_bytes(raw[:_SEED])
    return lambda content: "v1a," + _base64(key.sign(content))


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import (  # noqa: PLC0415 - an extra
            ed25519,
        )
    except ImportError:
        message = (
            "Ed25519 keys need the package cryptography: pip install "
            "'moatbridge-webhook[ed25519]'."
        )
        raise ConfigurationError(message, code="webhook.ed25519") from None
    return ed25519


def _decoded(text: str, secret: Secret) -> bytes:
    padded = text + "=" * (-len(text) % 4)
    try:
        return base64.b64decode(padded, validate=True)
    except (binascii.Error, ValueError):
        raise _unusable(secret, "is not base64 after its prefix") from None


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _unusable(secret: Secret, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The webhook key {secret.reference} {why}; ask the other side for a new one.",
        code="webhook.key",
    )
