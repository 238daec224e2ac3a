"""HTTP authentication: Basic, Bearer (RFC 7617, 6750) and Digest (RFC 7616).

Nothing here keeps a secret: it is read from its reference for each header.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from typing import TYPE_CHECKING, Final

from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from moatbridge_soap.config.auth import BasicAuth, BearerAuth, DigestAuth

_PARAMETER: Final = re.compile(r'([a-zA-Z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_HASHES: Final[dict[str, Callable[[bytes], str]]] = {
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
}


class StaticAuth:
    """Basic or Bearer: one header with every request."""

    def __init__(self, config: BasicAuth | BearerAuth) -> None:
        self._config = config

    def headers(self, method: str, target: str) -> Mapping[str, str]:
        """The ``Authorization`` header."""
        del method, target
        if self._config.kind == "bearer":
            token = self._config.token.get_secret_value()
            return {"Authorization": f"Bearer {token}"}
        name, secret = self._config.username, self._config.password
        pair = f"{name}:{secret.get_secret_value()}".encode()
        return {"Authorization": "Basic " + base64.b64encode(pair).decode("ascii")}

    def challenged(self, challenges: list[str], peer: ssl.SSLSocket | None) -> bool:
        """Nothing more can be shown."""
        del challenges, peer
        return False

    def accepted(self, headers: Mapping[str, str]) -> None:
        """The server proves nothing."""


class HttpDigest:
    """Digest with ``qop=auth``; SHA-256 is taken before MD5."""

    def __init__(self, config: DigestAuth) -> None:
        self._config = config
        self._challenge: dict[str, str] | None = None
        self._count = 0

    def headers(self, method: str, target: str) -> Mapping[str, str]:
        """The header that answers the last challenge; none before the first."""
        if self._challenge is None:
            return {}
        self._count += 1
        fields = self._fields(self._challenge, method, target)
        return {"Authorization": "Digest " + ", ".join(fields)}

    def challenged(self, challenges: list[str], peer: ssl.SSLSocket | None) -> bool:
        """Take a new challenge; the same credentials are not tried twice for one."""
        del peer
        found = best_challenge(challenges)
        tried = self._challenge is not None
        stale = found is not None and found.get("stale", "").lower() == "true"
        if found is None or (tried and not stale):
            self._challenge = None
            return False
        self._challenge, self._count = found, 0
        return True

    def accepted(self, headers: Mapping[str, str]) -> None:
        """``Authentication-Info`` is optional and not required."""

    def _fields(self, asked: dict[str, str], method: str, target: str) -> list[str]:
        name = asked.get("algorithm", "MD5").upper()
        digest = _HASHES[name]
        nonce, realm = asked.get("nonce", ""), asked.get("realm", "")
        client, count = secrets.token_hex(16), f"{self._count:08x}"
        user = self._config.username
        first = f"{user}:{realm}:{self._config.password.get_secret_value()}"
        second = digest(f"{method}:{target}".encode())
        middle = f"{nonce}:{count}:{client}:auth"
        if "qop" not in asked:
            middle = nonce
        answer = digest(f"{digest(first.encode())}:{middle}:{second}".encode())
        fields = [
            f"username={_quoted(user)}",
            f"realm={_quoted(realm)}",
            f"nonce={_quoted(nonce)}",
            f"uri={_quoted(target)}",
            f'response="{answer}"',
            f"algorithm={name}",
        ]
        if "qop" in asked:
            fields += ["qop=auth", f"nc={count}", f'cnonce="{client}"']
        if "opaque" in asked:
            fields.append(f"opaque={_quoted(asked['opaque'])}")
        return fields


def best_challenge(challenges: list[str]) -> dict[str, str] | None:
    """The strongest Digest challenge that we can answer."""
    found = [c for text in challenges if (c := _digest(text)) is not None]
    found.sort(key=lambda c: c.get("algorithm", "MD5").upper() != "SHA-256")
    return found[0] if found else None


def _digest(text: str) -> dict[str, str] | None:
    scheme, _, rest = text.strip().partition(" ")
    if scheme.lower() != "digest":
        return None
    fields = {
        m[1].lower(): re.sub(r"\\(.)", r"\1", m[2]) if m[2] is not None else m[3]
        for m in _PARAMETER.finditer(rest)
    }
    qops = {q.strip() for q in fields.get("qop", "auth").split(",")}
    known = fields.get("algorithm", "MD5").upper() in _HASHES
    return fields if known and "auth" in qops and "nonce" in fields else None


def _quoted(text: str) -> str:
    if any(c in text for c in "\r\n\0"):
        message = "A Digest challenge or the user name holds a line break."
        raise ConfigurationError(message, code="soap.header")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
