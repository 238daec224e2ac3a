"""``auth``: how we show who we are, by ``kind`` (soap 3.C)."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field, model_validator

from moatbridge.adapter import AdapterConfig, Secret
from moatbridge_soap.config._units import PathOrUrl  # noqa: TC001 - pydantic reads it
from moatbridge_soap.config.rules import Rule  # noqa: TC001 - pydantic reads it

CLEARTEXT_SECRETS: Final = frozenset({"basic", "bearer", "wsse-text", "login"})
"""Kinds that show their secret to whoever can read the connection."""


class NoAuth(AdapterConfig):
    """``{ kind = "none" }``."""

    kind: Literal["none"] = "none"


class BasicAuth(AdapterConfig):
    """HTTP Basic (RFC 7617), UTF-8."""

    kind: Literal["basic"]
    username: str
    password: Secret


class DigestAuth(AdapterConfig):
    """HTTP Digest (RFC 7616): MD5 or SHA-256, ``qop=auth``."""

    kind: Literal["digest"]
    username: str
    password: Secret


class BearerAuth(AdapterConfig):
    """HTTP Bearer (RFC 6750)."""

    kind: Literal["bearer"]
    token: Secret


class NegotiateAuth(AdapterConfig):
    """HTTP Negotiate (RFC 4559): Kerberos, or NTLM where ``allow_ntlm`` is set.

    Args:
        username: Principal; None uses the process's credential cache.
        password: Its password; None uses the credential cache or keytab.
        service: First part of the service principal name.
        hostname: Second part; None means the endpoint's host.
        allow_ntlm: Accept NTLM, which proves nothing about the server.
    """

    kind: Literal["negotiate"]
    username: str | None = None
    password: Secret | None = None
    service: str = "HTTP"
    hostname: str | None = None
    allow_ntlm: bool = False


class UsernameTokenAuth(AdapterConfig):
    """WS-Security UsernameToken 1.1, password as text or digest.

    Args:
        kind: ``wsse-text`` needs TLS; ``wsse-digest`` sends nonce and time.
        username: As the service knows us.
        password: The password.
        timestamp: Send a Timestamp of 5 minutes too.
    """

    kind: Literal["wsse-text", "wsse-digest"]
    username: str
    password: Secret
    timestamp: bool = False


class X509Auth(AdapterConfig):
    """WS-Security X.509 signatures.

    Args:
        kind: ``wsse-x509``.
        cert: PEM file of our certificate.
        key: PEM file of its private key.
        password: Opens an encrypted key.
        key_reference: How our certificate is named in the signature.
        sign: Further signed parts beside Body and Timestamp.
        verify: Verify the answers' signatures.
        server_cert: PEM file of the one certificate that may sign answers.
        server_ca: PEM file of authorities whose certificates may sign answers.
    """

    kind: Literal["wsse-x509"]
    cert: PathOrUrl
    key: PathOrUrl
    password: Secret | None = None
    key_reference: Literal["token", "issuer-serial", "ski"] = "token"
    sign: tuple[Literal["token", "addressing"], ...] = ()
    verify: bool = False
    server_cert: PathOrUrl | None = None
    server_ca: PathOrUrl | None = None

    @model_validator(mode="after")
    def _own_trust(self) -> X509Auth:
        if self.verify and not (self.server_cert or self.server_ca):
            msg = "verify needs server_cert or server_ca"
            raise ValueError(msg)
        return self


class TokenPlace(AdapterConfig):
    """Where the login's token goes in each request; exactly one of them.

    Args:
        header: ``{namespace}Block/child``: a header block and, below it, the element
            that holds the token.
        param: Path of the input element, for every operation.
        cookie: Name of an HTTP cookie.
    """

    header: str | None = None
    param: str | None = None
    cookie: str | None = None

    @model_validator(mode="after")
    def _one(self) -> TokenPlace:
        if sum(x is not None for x in (self.header, self.param, self.cookie)) != 1:
            msg = "give exactly one of header, param and cookie"
            raise ValueError(msg)
        return self


class LoginAuth(AdapterConfig):
    """A session token from an operation of the service itself.

    Args:
        kind: ``login``.
        operation: Its name in the port.
        request: Its input; ``{login.NAME}`` stands for username, password or one of
            ``secrets``.
        token: Path of the token in the answer.
        into: Where the token goes.
        expired: Fault rules that mean "log in again".
        username: For ``{login.username}``.
        password: For ``{login.password}``.
        secrets: More of them.
    """

    kind: Literal["login"]
    operation: str
    request: dict[str, Any] = Field(default_factory=dict)
    token: str
    into: TokenPlace
    expired: tuple[Rule, ...] = ()
    username: str | None = None
    password: Secret | None = None
    secrets: dict[str, Secret] = Field(default_factory=dict)


Auth: TypeAlias = Annotated[
    NoAuth
    | BasicAuth
    | DigestAuth
    | BearerAuth
    | NegotiateAuth
    | UsernameTokenAuth
    | X509Auth
    | LoginAuth,
    Field(discriminator="kind"),
]
