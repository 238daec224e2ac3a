"""HTTP Negotiate (RFC 4559) through pyspnego: Kerberos, or NTLM where it is allowed.

The handshake belongs to the connection: a new connection begins a new one. Channel
binding (RFC 5929 ``tls-server-end-point``) ties it to the server's certificate.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from moatbridge_soap.config.auth import NegotiateAuth


_WEAK: Final = frozenset({"md5", "sha1"})


class HttpNegotiate:
    """One handshake at a time.

    Args:
        config: The ``negotiate`` settings.
        host: Host of the endpoint.
    """

    def __init__(self, config: NegotiateAuth, host: str) -> None:
        self._config = config
        self._host = config.hostname or host
        self._context: Any = None
        self._token: bytes | None = None

    def headers(self, method: str, target: str) -> Mapping[str, str]:
        """The next token of the handshake, if one is due."""
        del method, target
        token, self._token = self._token, None
        if token is None:
            return {}
        text = base64.b64encode(token).decode("ascii")
        return {"Authorization": f"Negotiate {text}"}

    def challenged(self, challenges: list[str], peer: ssl.SSLSocket | None) -> bool:
        """Begin the handshake, or take its next step."""
        answer = _negotiate(challenges)
        if answer is None:
            return False
        if not answer:
            if self._context is not None:
                self._context = None  # our proof was refused
                return False
            self._context = self._begin(peer)
        self._token = self._step(answer or None)
        return self._token is not None

    def accepted(self, headers: Mapping[str, str]) -> None:
        """Finish the handshake with the server's own proof.

        Raises:
            ConfigurationError: ``soap.auth``: Kerberos without mutual authentication,
                also where NTLM would be allowed: that proves nothing, but says so.
        """
        if self._context is None:
            return
        context, self._context = self._context, None
        answer = _negotiate([headers.get("www-authenticate", "")])
        if answer and not context.complete:
            self._context = context
            self._step(answer)
            self._context = None
        ntlm = self._config.allow_ntlm and context.negotiated_protocol == "ntlm"
        if not context.complete and not ntlm:
            raise _failed("the server did not prove who it is")

    def _begin(self, peer: ssl.SSLSocket | None) -> Any:
        spnego = _spnego()
        password = self._config.password
        flags = spnego.ContextReq.default | spnego.ContextReq.mutual_auth
        try:
            return spnego.client(
                self._config.username,
                password.get_secret_value() if password else None,
                hostname=self._host,
                service=self._config.service,
                protocol="negotiate" if self._config.allow_ntlm else "kerberos",
                context_req=flags,
                channel_bindings=_binding(spnego, peer),
            )
        except Exception as error:  # noqa: BLE001 - the library's many errors
            raise _failed(type(error).__name__) from None

    def _step(self, token: bytes | None) -> bytes | None:
        try:
            found: bytes | None = self._context.step(token)
        except Exception as error:  # noqa: BLE001 - the library's many errors
            self._context = None
            raise _failed(type(error).__name__) from None
        return found


def _negotiate(challenges: list[str]) -> bytes | None:
    """The token of a Negotiate challenge; empty for the first, None for no such."""
    for line in challenges:
        for challenge in line.split(","):
            scheme, _, text = challenge.strip().partition(" ")
            if scheme.lower() == "negotiate":
                try:
                    return base64.b64decode(text.strip(), validate=True)
                except (binascii.Error, ValueError):
                    return b""
    return None


def _binding(spnego: Any, peer: ssl.SSLSocket | None) -> Any:
    der = peer.getpeercert(binary_form=True) if peer is not None else None
    if der is None:
        return None
    digest = end_point(der)
    if digest is None:
        return None
    return spnego.channel_bindings.GssChannelBindings(
        application_data=b"tls-server-end-point:" + digest
    )


def end_point(der: bytes) -> bytes | None:
    """The hash of a certificate that ties the handshake to it (RFC 5929 section 4.1).

    The hash function is that of the certificate's own signature, but SHA-256 in place
    of MD5 and SHA-1. None where the signature has no hash function of its own, as
    Ed25519's: there the binding is not defined, and no peer can expect one.
    """
    from cryptography import x509  # noqa: PLC0415 - pyspnego brings it
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415

    try:
        signed = x509.load_der_x509_certificate(der).signature_hash_algorithm
        if signed is None:
            return None
        name = "sha256" if signed.name in _WEAK else signed.name.replace("-", "_")
        return hashlib.new(name, der).digest()
    except (ValueError, UnsupportedAlgorithm):
        return None


def _spnego() -> Any:
    try:
        import spnego  # noqa: PLC0415 - an extra, loaded where it is used
        import spnego.channel_bindings  # noqa: PLC0415
    except ImportError:
        message = (
            "auth kind 'negotiate' needs pip install 'moatbridge-soap[negotiate]'."
        )
        raise ConfigurationError(message, code="soap.missing") from None
    return spnego


def _failed(words: str) -> ConfigurationError:
    return ConfigurationError(
        f"The Negotiate handshake failed ({words}). Check the account, its ticket, the "
        "service principal name and allow_ntlm.",
        code="soap.auth",
    )
