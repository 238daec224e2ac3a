"""Adapters that need no server: only their settings matter here."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from moatbridge.adapter import Adapter, AdapterConfig, Secret
from moatbridge.registry import Registry


class Auth(AdapterConfig):
    kind: Literal["simple"] = "simple"
    bind_dn: str
    password: Secret


class DirectoryConfig(AdapterConfig):
    urls: tuple[str, ...] = Field(min_length=1)
    auth: Auth | None = None
    page_size: int = 500

    @field_validator("urls")
    @classmethod
    def _careless(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if not url.startswith("ldap"):
                raise ValueError(f"{url} is no LDAP URL")  # repeats its input
        return urls


class DirectoryStream(AdapterConfig):
    base: str = ""
    fields: tuple[str, ...] = ()


class DirectoryAdapter(Adapter[DirectoryConfig]):
    name = "directory"
    Config = DirectoryConfig
    StreamConfig = DirectoryStream

    @classmethod
    def endpoints(cls, config: Any) -> Any:
        return [("dc1.corp.example", 636)]

    def open(self) -> None: ...

    def close(self) -> None: ...

    def probe(self) -> Any: ...

    def streams(self) -> Any: ...


class PlatformConfig(AdapterConfig):
    base_url: str


class PlatformAdapter(DirectoryAdapter):
    name = "platform"
    Config = PlatformConfig
    StreamConfig = AdapterConfig


def registry() -> Registry:
    made = Registry(discover=False)
    made.register("directory", DirectoryAdapter)
    made.register("platform", PlatformAdapter)
    return made
