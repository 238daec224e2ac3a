"""`WebhookAdapter`: events to and from anything that speaks webhooks.

Sources: Standard Webhooks 1.0.0, CloudEvents 1.0. The rules are platforms 26-30.
"""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from moatbridge.adapter import (
    Adapter,
    CanReceive,
    CanWrite,
    Field,
    Probe,
    Stream,
    WriteTraits,
)
from moatbridge.entities import entity_type
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.http import HttpClient, clock_warnings
from moatbridge_webhook.config import CHAT, WebhookConfig, WebhookStreamConfig
from moatbridge_webhook.fields import native_fields
from moatbridge_webhook.receiving import Reader
from moatbridge_webhook.sending import Sender

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge.adapter import Received, Request
    from moatbridge.changes import Intent, Receipt

DEFAULT_ENTITY: Final = "Post"
BATCH: Final = 20
"""Events of one call: one request each, under one deadline."""


class WebhookAdapter(Adapter[WebhookConfig], CanWrite, CanReceive):
    """Sends records as signed events, and receives events as records.

    A stream with ``fields`` receives, any other sends. What is sent is native: an
    entity as it is. Opening asks the receiver for nothing but a sign of life (HEAD);
    whatever it answers is fine.
    """

    name = "webhook"
    Config = WebhookConfig
    StreamConfig = WebhookStreamConfig
    reach = "outside"
    exposure = "external"

    def __init__(self, config: WebhookConfig, streams: Mapping[str, Any]) -> None:
        """Keep the configuration; no I/O here."""
        super().__init__(config, streams)
        self._client: HttpClient | None = None
        self._sender: Sender | None = None
        self._reader: Reader | None = None
        self._opened = False

    @classmethod
    def endpoints(cls, config: WebhookConfig) -> Sequence[tuple[str, int]]:
        """The base URL's host and port, or the proxy's; none where nothing is sent."""
        return [config.dialled] if config.base_url else []

    def open(self) -> None:
        """Read the keys and check that the receiver's host can be reached.

        Raises:
            ConfigurationError: ``webhook.key``, ``webhook.ed25519``, ``secret.*``.
            NotApplied: The host cannot be reached now.
        """
        if self.config.base_url:
            self._client = HttpClient(self.net, self.config)
            try:
                self._sender = Sender(self._client, self.config)
                self._sender.welcome = _knock(self._client)
            except BaseException:
                self.close()
                raise
        self._opened = True

    def close(self) -> None:
        """Close the connection; idempotent, never raises."""
        client, self._client = self._client, None
        self._sender, self._opened = None, False
        if client is not None:
            client.close()

    def probe(self) -> Probe:
        """Where events go; a webhook tells nothing about itself."""
        self._must_be_open()
        config = self.config
        ahead = self._client.clock_ahead if self._client else None
        warnings = list(clock_warnings(ahead))
        if self._sends() and config.format not in CHAT and config.key_ttl is None:
            warnings.append(
                "key_ttl is not set: what became of an unanswered event is for a "
                "person; ask the receiver how long it remembers webhook-id"
            )
        server = f"webhook {config.format} {config.verify or ''}".strip()
        return Probe(server, "Webhooks", warnings=tuple(warnings))

    def streams(self) -> Sequence[Stream]:
        """The configured streams, and ``events`` if none sends but could."""
        self._must_be_open()
        sent = self._sends()
        found = (
            [self._sent(name, settings) for name, settings in sent.items()]
            if self.config.base_url
            else []
        )
        received = self._receives() if self.config.verify else {}
        return [*found, *(_received(*each) for each in received.items())]

    def traits(self, stream: str) -> WriteTraits:
        """``keyed`` for ``key_ttl``, if that is set; ``none`` into chats."""
        self._kind(stream)
        config = self.config
        if config.format in CHAT or config.key_ttl is None:
            return WriteTraits(dedup="none")
        return WriteTraits(
            dedup="keyed", key_scope="request", key_ttl=config.key_ttl, max_batch=BATCH
        )

    def write(self, stream: str, intents: Sequence[Intent]) -> Sequence[Receipt]:
        """One request per intent; see `CanWrite.write`.

        Raises:
            ConfigurationError: ``webhook.switched-off``, ``http.*``, ``net.*``.
            NotApplied: Nothing was sent.
        """
        kind = self._kind(stream)
        if self._sender is None:
            raise NotApplied("The connection is not open.", code="webhook.closed")
        return self._sender.write(kind, intents)

    def receive(self, request: Request) -> Received:
        """Prove and read a request; see `CanReceive.receive`.

        Raises:
            Rejected: ``webhook.untrusted`` or ``webhook.unreadable``.
            ConfigurationError: ``webhook.no-verify``, ``webhook.key``, ``secret.*``.
        """
        if self.config.verify is None:
            raise ConfigurationError(
                "This system receives nothing: set verify and secrets.",
                code="webhook.no-verify",
            )
        if self._reader is None:
            self._reader = Reader(self.config, self._receives())
        return self._reader.receive(request)

    def _receives(self) -> dict[str, WebhookStreamConfig]:
        return {n: s for n, s in self.stream_configs.items() if s.fields}

    def _sends(self) -> dict[str, WebhookStreamConfig]:
        if not self.config.base_url:
            return {}
        named = {n: s for n, s in self.stream_configs.items() if not s.fields}
        return named or {"posts": WebhookStreamConfig()}

    def _kind(self, stream: str) -> str:
        """Event type of a sending stream, before the verb."""
        settings = self._sends().get(stream)
        if settings is None:
            known = ", ".join(self._sends()) or "none"
            raise ConfigurationError(
                f"There is no stream {stream} to write to; there are: {known}.",
                code="webhook.stream",
            )
        return settings.type or (settings.entity or DEFAULT_ENTITY).lower()

    def _sent(self, name: str, settings: WebhookStreamConfig) -> Stream:
        streams = {s.entity or DEFAULT_ENTITY: n for n, s in self._sends().items()}
        entity = entity_type(settings.entity or DEFAULT_ENTITY)
        return Stream(
            name,
            native_fields(entity, streams),
            abilities=frozenset({"CanWrite"}),
            entity=entity.name,
            native=True,
        )

    def _must_be_open(self) -> None:
        if not self._opened:
            raise NotApplied("The connection is not open.", code="webhook.closed")


def _knock(client: HttpClient) -> bool:
    """Any answer will do: it shows that something speaks HTTP there.

    Returns:
        Whether we are welcome: the answer was neither 401, 403 nor a page of its own.
    """
    try:
        return client.request("HEAD", "").status != HTTPStatus.FORBIDDEN
    except ConfigurationError as error:
        if not error.code.startswith("http."):
            raise  # a certificate, an address that is not allowed
        return False


def _received(name: str, settings: WebhookStreamConfig) -> Stream:
    shape = settings.model_dump_json(exclude={"entity", "type"})
    return Stream(
        name,
        tuple(
            Field(field, part.type, required=field in settings.key, writable=False)
            for field, part in settings.fields.items()
        ),
        key=settings.key,
        abilities=frozenset({"CanReceive"}),
        entity=settings.entity,
        sees_deletes=bool(settings.delete),
        query=hashlib.blake2b(shape.encode(), digest_size=8).hexdigest(),
    )
