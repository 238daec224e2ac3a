"""Who we are: in HTTP, in the envelope, or by a login (soap 3.C)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeep.wsse.compose import Compose

from moatbridge.errors import ConfigurationError
from moatbridge_soap.auth._addressing import Addressing, message_id
from moatbridge_soap.auth._http import HttpDigest, StaticAuth
from moatbridge_soap.auth._negotiate import HttpNegotiate
from moatbridge_soap.auth._wsse import UsernameTokens
from moatbridge_soap.config.auth import (
    BasicAuth,
    BearerAuth,
    DigestAuth,
    LoginAuth,
    NegotiateAuth,
    UsernameTokenAuth,
    X509Auth,
)

if TYPE_CHECKING:
    from moatbridge_soap.config import SoapConfig
    from moatbridge_soap.http import HttpAuth

__all__ = [
    "Addressing",
    "envelope_auth",
    "http_auth",
    "login_of",
    "message_id",
    "signature_of",
]


def http_auth(config: SoapConfig) -> HttpAuth | None:
    """The HTTP scheme, if one is configured.

    Raises:
        ConfigurationError: ``soap.auth``: two of them, or a secret without TLS.
    """
    if config.shows_secrets and not config.insecure_cleartext:
        words = "a password would travel unencrypted; use https"
        raise ConfigurationError(f"auth: {words}.", code="soap.auth")
    found: list[HttpAuth] = []
    for auth in config.auths:
        if isinstance(auth, BasicAuth | BearerAuth):
            found.append(StaticAuth(auth))
        elif isinstance(auth, DigestAuth):
            found.append(HttpDigest(auth))
        elif isinstance(auth, NegotiateAuth):
            found.append(HttpNegotiate(auth, config.origin[1]))
    if len(found) > 1:
        words = "only one HTTP scheme (basic, digest, bearer, negotiate) can be used"
        raise ConfigurationError(f"auth: {words}.", code="soap.auth")
    return found[0] if found else None


def envelope_auth(config: SoapConfig, *extra: Any) -> Any:
    """The ``wsse`` object of zeep or None. Never a list: its verify fails on one."""
    tokens = [
        UsernameTokens(a) for a in config.auths if isinstance(a, UsernameTokenAuth)
    ]
    parts = [*tokens, *extra]
    return Compose(parts) if parts else None  # type: ignore[no-untyped-call] # zeep is untyped


def login_of(config: SoapConfig) -> LoginAuth | None:
    """The configured login, if there is one."""
    return next((a for a in config.auths if isinstance(a, LoginAuth)), None)


def signature_of(config: SoapConfig) -> X509Auth | None:
    """The configured X.509 signature, if there is one."""
    return next((a for a in config.auths if isinstance(a, X509Auth)), None)
