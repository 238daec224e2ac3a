"""`MastodonAdapter`: posts, replies and reactions of one Mastodon account.

Source: the Mastodon REST API (statuses, media, notifications, accounts), version 4.0
and later. The rules are platforms 31-39.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.adapter import (
    Adapter,
    CanDiscover,
    CanFetch,
    CanFind,
    CanFollow,
    CanHint,
    CanScan,
    CanWrite,
    Probe,
    Quota,
    Stream,
    Suggestion,
    Suggestions,
    WriteTraits,
)
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.http import HttpClient, clock_warnings
from moatbridge_mastodon.config import KINDS, MastodonConfig, MastodonStreamConfig
from moatbridge_mastodon.instance import Instance, read_instance
from moatbridge_mastodon.reading import Reader
from moatbridge_mastodon.statuses import ACCOUNT_FIELDS, post_fields, reaction_fields
from moatbridge_mastodon.writing import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from moatbridge.adapter import Field, Partition, Query
    from moatbridge.changes import Batch, Fetched, Intent, Receipt, Record, Ref
    from moatbridge_mastodon.config import Kind

KEY_TTL: Final = 3600.0
"""Seconds for which the platform remembers an ``Idempotency-Key``."""

RATE: Final = Quota(1.0, 300.0)
"""300 requests in 5 minutes for one account."""

_ABILITIES: Final[dict[Kind, frozenset[str]]] = {
    "posts": frozenset({"CanScan", "CanFetch", "CanWrite"}),
    "mentions": frozenset({"CanFollow", "CanHint", "CanFetch"}),
    "reactions": frozenset({"CanFollow", "CanHint", "CanWrite"}),
    "accounts": frozenset({"CanFetch", "CanFind"}),
}
_ENTITIES: Final[dict[Kind, str]] = {
    "posts": "Post",
    "mentions": "Post",
    "reactions": "Reaction",
    "accounts": "Person",
}


class MastodonAdapter(
    Adapter[MastodonConfig],
    CanScan,
    CanFollow,
    CanHint,
    CanFetch,
    CanFind,
    CanWrite,
    CanDiscover,
):
    """Speaks for one account. Records are native: they have the entities' own shape.

    Streams: ``posts`` (our statuses), ``mentions`` (posts that name us: replies),
    ``reactions`` (likes and boosts of our posts), ``accounts`` (found by name).
    """

    name = "mastodon"
    Config = MastodonConfig
    StreamConfig = MastodonStreamConfig
    reach = "outside"
    exposure = "external"

    def __init__(self, config: MastodonConfig, streams: Mapping[str, Any]) -> None:
        """Keep the configuration; no I/O here."""
        super().__init__(config, streams)
        self._client: HttpClient | None = None
        self._instance: Instance | None = None
        self._reader: Reader | None = None
        self._writer: Writer | None = None

    @classmethod
    def endpoints(cls, config: MastodonConfig) -> Sequence[tuple[str, int]]:
        """The base URL's host and port, or the proxy's."""
        return [config.dialled]

    def open(self) -> None:
        """Ask for the instance's limits and our account; see `Adapter.open`."""
        self._kinds()
        self._client = HttpClient(self.net, self.config)
        try:
            self._instance = read_instance(self._client)
        except BaseException:
            self.close()
            raise
        self._reader = Reader(self._client, self._instance, self.config)
        self._writer = Writer(self._client, self._reader, self._instance, self.config)

    def close(self) -> None:
        """Close the connection; idempotent, never raises."""
        client, self._client = self._client, None
        self._reader = self._writer = None
        if client is not None:
            client.close()

    def probe(self) -> Probe:
        """Identity, limits, and what is dangerous about this account."""
        instance = self._opened()
        return Probe(
            server=f"{instance.domain}/{instance.account}",
            product=f"Mastodon {instance.version}",
            account=instance.acct,
            limits={
                "characters": instance.max_characters,
                "attachments": instance.max_attachments,
                "deletes": "30 in 30 minutes",
                "posts": "300 in 5 minutes",
            },
            warnings=(*instance.warnings(self.config), *self._clock()),
            quota={"read": RATE, "write": RATE},
        )

    def streams(self) -> Sequence[Stream]:
        """Some or all of ``posts``, ``mentions``, ``reactions`` and ``accounts``."""
        kinds = self._kinds()
        posts = _named(kinds, "posts")
        accounts = _named(kinds, "accounts")
        return [
            Stream(
                name,
                _fields(kind, posts, accounts),
                abilities=_ABILITIES[kind],
                entity=_ENTITIES[kind],
                native=True,
                query=kind,
                label="internal",
            )
            for name, kind in kinds.items()
        ]

    def traits(self, stream: str) -> WriteTraits:
        """Posts are ``keyed`` for an hour; reactions for ever."""
        if self._kind(stream) == "reactions":
            return WriteTraits(dedup="keyed", key_scope="object", retractable=True)
        return WriteTraits(
            dedup="keyed", key_scope="request", key_ttl=KEY_TTL, retractable=True
        )

    def scan(
        self, stream: str, partition: Partition, after: Any | None
    ) -> Iterator[Batch]:
        """All statuses of our account; see `CanScan.scan`."""
        del partition
        self._must(stream, "CanScan")
        return self._reading().posts(after)

    def changes(self, stream: str, after: Any | None) -> Iterator[Batch]:
        """What came since the position, oldest first; see `CanFollow.changes`."""
        self._must(stream, "CanFollow")
        reader = self._reading()
        if self._kind(stream) == "mentions":
            return reader.mentions(after)
        return reader.reactions(after)

    def hints(self, stream: str) -> Iterator[bool]:
        """Signs of life and of news from the streaming API; see `CanHint.hints`."""
        self._must(stream, "CanHint")
        if not self.config.stream_hints:
            raise ConfigurationError(
                "Pushes are switched off (stream_hints).", code="mastodon.hints-off"
            )
        return self._reading().hints()

    def fetch(self, stream: str, refs: Sequence[Ref]) -> Sequence[Fetched]:
        """Statuses or accounts by id; see `CanFetch.fetch`."""
        self._must(stream, "CanFetch")
        if self._kind(stream) == "accounts":
            return self._reading().fetch_accounts(refs)
        return self._reading().fetch_posts(refs)

    def find(self, stream: str, queries: Sequence[Query]) -> Sequence[Sequence[Record]]:
        """Accounts by ``userName``; see `CanFind.find`."""
        self._must(stream, "CanFind")
        if any(query.field != "userName" for query in queries):
            raise ConfigurationError(
                "Accounts are found by userName only.", code="mastodon.query"
            )
        reader = self._reading()
        return [reader.find_account(query.value) for query in queries]

    def write(self, stream: str, intents: Sequence[Intent]) -> Sequence[Receipt]:
        """Publish, edit, retract, react; see `CanWrite.write`."""
        self._must(stream, "CanWrite")
        if self._writer is None:
            raise NotApplied("The connection is not open.", code="mastodon.closed")
        if self._kind(stream) == "reactions":
            return self._writer.reactions(intents)
        return self._writer.posts(intents)

    def discover(self) -> Suggestions:
        """Streams, and settings that the account asks for."""
        instance = self._opened()
        reason = "the account's own posts, what answers them, and who is who"
        items = [Suggestion("kind", kind, 1.0, reason, stream=kind) for kind in KINDS]
        if instance.locked:
            reason = "the account is locked; say true if only employees follow it"
            items.append(
                Suggestion(
                    "followers_are_org", value=True, confidence=0.5, reason=reason
                )
            )
        return Suggestions(items, instance.warnings(self.config))

    def _kinds(self) -> dict[str, Kind]:
        if not self.stream_configs:
            return {kind: kind for kind in KINDS}
        found: dict[str, Kind] = {}
        for name, settings in self.stream_configs.items():
            kind = settings.kind or name
            if kind not in KINDS:
                raise ConfigurationError(
                    f"Stream {name} holds nothing known: set kind to one of "
                    f"{', '.join(KINDS)}.",
                    code="mastodon.stream",
                    stream=name,
                )
            found[name] = kind
        return found

    def _kind(self, stream: str) -> Kind:
        kinds = self._kinds()
        if stream not in kinds:
            known = ", ".join(sorted(kinds))
            message = f"There is no stream {stream} here; there are: {known}."
            raise ConfigurationError(message, code="mastodon.stream")
        return kinds[stream]

    def _must(self, stream: str, ability: str) -> None:
        self._opened()
        if ability not in _ABILITIES[self._kind(stream)]:
            raise ConfigurationError(
                f"Stream {stream} cannot do that ({ability}).", code="mastodon.stream"
            )

    def _clock(self) -> tuple[str, ...]:
        return clock_warnings(self._client.clock_ahead) if self._client else ()

    def _opened(self) -> Instance:
        if self._instance is None or self._client is None:
            raise NotApplied("The connection is not open.", code="mastodon.closed")
        return self._instance

    def _reading(self) -> Reader:
        if self._reader is None:
            raise NotApplied("The connection is not open.", code="mastodon.closed")
        return self._reader


def _named(kinds: Mapping[str, Kind], kind: Kind) -> str:
    return next((name for name, each in kinds.items() if each == kind), kind)


def _fields(kind: Kind, posts: str, accounts: str) -> tuple[Field, ...]:
    if kind == "accounts":
        return ACCOUNT_FIELDS
    if kind == "reactions":
        return reaction_fields(posts, accounts)
    return post_fields(posts, accounts)
