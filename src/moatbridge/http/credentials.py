"""How we show who we are: always in a header, always to one origin only."""

from __future__ import annotations

import base64
import re
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field, SecretStr, field_validator

from moatbridge.adapter import AdapterConfig, Secret
from moatbridge.errors import ConfigurationError

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VISIBLE: Final = re.compile(r"[\x20-\x7e]+")


class BearerAuth(AdapterConfig):
    """``auth = { kind = "bearer", token = "env:NAME" }`` (RFC 6750)."""

    kind: Literal["bearer"]
    token: Secret

    def header(self) -> tuple[str, str]:
        """Name and value of the header."""
        return "Authorization", f"Bearer {self.token.get_secret_value()}"


class BasicAuth(AdapterConfig):
    """``auth = { kind = "basic", username = "...", password = "env:NAME" }``."""

    kind: Literal["basic"]
    username: str
    password: Secret

    def header(self) -> tuple[str, str]:
        """Name and value of the header (RFC 7617, UTF-8)."""
        pair = f"{self.username}:{self.password.get_secret_value()}".encode()
        return "Authorization", "Basic " + base64.b64encode(pair).decode("ascii")


class HeaderAuth(AdapterConfig):
    """``auth = { kind = "header", name = "X-Api-Key", value = "env:NAME" }``."""

    kind: Literal["header"]
    name: str
    value: Secret

    @field_validator("name")
    @classmethod
    def _header_name(cls, name: str) -> str:
        if not _TOKEN.fullmatch(name):
            msg = "is not a header name"
            raise ValueError(msg)
        return name

    def header(self) -> tuple[str, str]:
        """Name and value of the header."""
        return self.name, self.value.get_secret_value()


class MutualTls(AdapterConfig):
    """``auth = { kind = "mtls" }``: the identity is ``tls.client_cert``."""

    kind: Literal["mtls"]

    def header(self) -> None:
        """There is no header."""
        return


Auth: TypeAlias = Annotated[
    BearerAuth | BasicAuth | HeaderAuth | MutualTls, Field(discriminator="kind")
]


class Credentials:
    """One header, bound to one origin (security 30); never shows its value."""

    __slots__ = ("_name", "_origin", "_value")

    def __init__(
        self,
        auth: BearerAuth | BasicAuth | HeaderAuth | MutualTls | None,
        origin: tuple[str, str, int],
    ) -> None:
        """Resolve the secret now; a new client resolves it again.

        Raises:
            ConfigurationError: ``secret.*``, or ``http.auth`` if the value cannot
                stand in a header.
        """
        pair = auth.header() if auth else None
        self._origin = origin
        self._name = pair[0] if pair else ""
        self._value = SecretStr(pair[1] if pair else "")
        if pair and not _VISIBLE.fullmatch(pair[1]):
            message = "The credential holds characters that no header may carry."
            raise ConfigurationError(message, code="http.auth")

    def headers(self, origin: tuple[str, str, int]) -> dict[str, str]:
        """The header to send to that origin.

        Raises:
            ConfigurationError: ``http.other-origin``: not where it belongs.
        """
        if origin != self._origin:
            message = (
                "A credential was about to go to a host it is not meant for; nothing "
                "was sent. Check base_url."
            )
            raise ConfigurationError(message, code="http.other-origin")
        return {self._name: self._value.get_secret_value()} if self._name else {}

    def __repr__(self) -> str:
        return f"Credentials({self._name or 'none'})"
