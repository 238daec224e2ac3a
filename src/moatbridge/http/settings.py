"""Settings that every HTTP adapter shares."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, field_validator, model_validator

from moatbridge.adapter import AdapterConfig
from moatbridge.errors import ConfigurationError
from moatbridge.http.credentials import Auth  # noqa: TC001 - pydantic reads it
from moatbridge.http.url import BaseUrl

MIB: Final = 1024 * 1024


class HttpConfig(AdapterConfig):
    """Base of ``[systems.NAME]`` for adapters that speak HTTP.

    Args:
        base_url: Where the API lives; https, no user information, query or fragment.
        auth: How we show who we are; None sends nothing.
        proxy: ``http://host:port`` of a forward proxy; the environment's are ignored.
        max_response: Bytes of one answer after decompression.
        user_agent: Sent with each request; None says ``moatbridge``.
        transport: ``direct``: HTTP/1.1 by ``h11``, JSON and records by quick ways of
            our own. ``httpx2``: all by the general ways, with the same results at
            several times the cost. Through a proxy requests always go by ``httpx2``.
        insecure_cleartext: Allow ``http://``: whoever stands on the way reads and
            changes everything, the credentials too.
    """

    base_url: str
    auth: Auth | None = None
    proxy: str | None = None
    max_response: int = Field(default=32 * MIB, ge=1024, le=1024 * MIB)
    user_agent: str | None = Field(default=None, pattern=r"^[\x20-\x7e]{1,200}$")
    transport: Literal["direct", "httpx2"] = "direct"
    insecure_cleartext: bool = False

    @field_validator("proxy")
    @classmethod
    def _proxy_url(cls, value: str | None) -> str | None:
        if value is not None:
            _parsed(value, cleartext=True)
        return value

    @model_validator(mode="after")
    def _base_url(self) -> HttpConfig:
        _parsed(self.base_url, cleartext=self.insecure_cleartext)
        return self

    @property
    def quick(self) -> bool:
        """The quick ways are taken, not the general ones."""
        return self.transport == "direct"

    @property
    def base(self) -> BaseUrl:
        """The base URL, taken apart."""
        return BaseUrl.parse(self.base_url, insecure_cleartext=self.insecure_cleartext)

    @property
    def dialled(self) -> tuple[str, int]:
        """Host and port that are really dialled: the proxy's, if there is one."""
        if self.proxy:
            proxy = BaseUrl.parse(self.proxy, insecure_cleartext=True)
            return proxy.host, proxy.port
        return self.base.host, self.base.port


def _parsed(url: str, *, cleartext: bool) -> BaseUrl:
    try:
        return BaseUrl.parse(url, insecure_cleartext=cleartext)
    except ConfigurationError as error:
        raise ValueError(error.message) from None
