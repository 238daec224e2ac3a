"""Settings of a webhook system and its streams."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field, StringConstraints, field_validator, model_validator

from moatbridge.adapter import AdapterConfig, FieldType, Secret
from moatbridge.errors import ConfigurationError
from moatbridge.http import BaseUrl, HttpConfig

Format: TypeAlias = Literal["standard", "cloudevents", "slack", "discord", "teams"]
Verify: TypeAlias = Literal[
    "standard-webhooks",
    "slack-v0",
    "github-sha256",
    "hub-sha256",
    "ed25519-discord",
    "graph-client-state",
    "bearer",
]
Path: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[^\s.]+(\.[^\s.]+)*$")]
"""Names joined by dots, from the outside in: ``data.object.id``."""

CHAT: Final = frozenset({"slack", "discord", "teams"})
HEADER: Final = "header:"
_EVENT: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", re.IGNORECASE)


class WebhookConfig(HttpConfig):
    """``[systems.NAME]`` with ``adapter = "webhook"``.

    Out needs ``base_url`` (and, but for chat formats, ``signing_keys``); in needs
    ``verify`` and ``secrets``. A system may do both.

    Args:
        base_url: Where events go; empty: nothing is sent.
        hook: The rest of the URL's path where that is a secret (chat services).
        format: Shape of what is sent.
        signing_keys: All of them sign, so that they can be rotated.
        max_body: Bytes of one event.
        oversize: What becomes of a larger one: refused, or sent with its ids only.
        key_ttl: Seconds for which the receiver remembers ``webhook-id``; None: we
            do not know, so nothing is ever sent twice by itself.
        source: Who we say we are in a CloudEvent.
        verify: How a sender is proved.
        secrets: Any of them may prove it.
        time_window: Seconds that a signed time may differ from ours.
    """

    base_url: str = ""
    hook: Secret | None = None
    format: Format = "standard"
    signing_keys: tuple[Secret, ...] = ()
    max_body: int = Field(default=256 * 1024, ge=1024, le=16 * 1024 * 1024)
    oversize: Literal["reject", "thin"] = "reject"
    key_ttl: float | None = Field(default=None, gt=60)
    source: str = Field(default="moatbridge", pattern=r"^[\x21-\x7e]{1,200}$")
    verify: Verify | None = None
    secrets: tuple[Secret, ...] = ()
    time_window: float = Field(default=300.0, gt=0, le=3600)

    @model_validator(mode="after")
    def _base_url(self) -> WebhookConfig:
        if self.base_url:
            _check_url(self.base_url, cleartext=self.insecure_cleartext)
            if self.format not in CHAT and not self.signing_keys:
                msg = f"format {self.format} needs at least one of signing_keys"
                raise ValueError(msg)
        elif self.verify is None:
            msg = "give base_url to send events, or verify and secrets to receive them"
            raise ValueError(msg)
        if self.verify is not None and not self.secrets:
            msg = f"verify = {self.verify!r} needs at least one of secrets"
            raise ValueError(msg)
        return self


def _check_url(url: str, *, cleartext: bool) -> None:
    try:
        BaseUrl.parse(url, insecure_cleartext=cleartext)
    except ConfigurationError as error:
        raise ValueError(error.message) from None


class Part(AdapterConfig):
    """One field of an incoming event: where it stands, and what it is."""

    at: Path
    type: FieldType = "any"


class WebhookStreamConfig(AdapterConfig):
    """``[streams."SYSTEM/STREAM"]``; with ``fields`` it receives, else it sends.

    Args:
        entity: Canonical type of what is sent, or of what is received if that is clear.
        type: Name of sent events, before ``.created``, ``.updated`` and ``.deleted``.
        path: Only requests to this path, or below it, under the inbox's address.
        items: Where the list of events stands in the body; None: the body is one.
        event: Where an event's name stands in the body; ``header:NAME`` for a header.
        upsert: Names that say "this is the record now"; ``*`` for any other.
        delete: Names that say "this record is gone".
        fields: Record field -> where it stands in an item.
        key: Names of the record fields that identify it.
        version: Where the source's own version stands in an item; it must never
            repeat for a record.
        order: Where the key stands that events are in order by; None: one order. Kept
            with a delivery; so far all of a system's are worked off in one order.
        partial: An event holds only some of the fields; missing ones say nothing.
    """

    entity: str | None = None
    type: str | None = None
    path: str | None = Field(default=None, pattern=r"^/[\x21-\x7e]*$")
    items: Path | None = None
    event: str | None = None
    upsert: tuple[str, ...] = ("*",)
    delete: tuple[str, ...] = ()
    fields: dict[str, Part] = Field(default_factory=dict)
    key: tuple[str, ...] = ()
    version: Path | None = None
    order: Path | None = None
    partial: bool = False

    @field_validator("type")
    @classmethod
    def _event_type(cls, value: str | None) -> str | None:
        if value is not None and not _EVENT.fullmatch(value):
            msg = "must be words joined by dots, such as com.acme.person"
            raise ValueError(msg)
        return value

    @field_validator("fields", mode="before")
    @classmethod
    def _short_parts(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {
            name: {"at": part} if isinstance(part, str) else part
            for name, part in value.items()
        }

    @model_validator(mode="after")
    def _identified(self) -> WebhookStreamConfig:
        unknown = [name for name in self.key if name not in self.fields]
        if self.fields and (not self.key or unknown):
            msg = "key must name at least one of fields, and nothing else"
            raise ValueError(msg)
        return self
