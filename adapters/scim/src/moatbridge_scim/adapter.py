"""`ScimAdapter`: people and groups of any SCIM 2.0 platform.

Sources: RFC 7643, RFC 7644, RFC 9865 (cursors). The rules are platforms 11-25.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from moatbridge.adapter import (
    Adapter,
    CanDiscover,
    CanFetch,
    CanFind,
    CanScan,
    CanWrite,
    Probe,
    Stream,
    Suggestion,
    Suggestions,
    WriteTraits,
)
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.http import HttpClient, clock_warnings
from moatbridge_scim.config import DEFAULT_TYPES, ScimConfig, ScimStreamConfig
from moatbridge_scim.peer import read_peer
from moatbridge_scim.reading import Reader
from moatbridge_scim.requests import Shape
from moatbridge_scim.schema import required_names
from moatbridge_scim.writing import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from moatbridge.adapter import Partition, Query
    from moatbridge.changes import Batch, Fetched, Intent, Receipt, Record, Ref
    from moatbridge_scim.peer import Peer, ResourceType

MEDIA_TYPE: Final = "application/scim+json"
SINGLE_BATCH: Final = 20
"""Intents in one call where there is no bulk: one request each, under one deadline."""


class ScimAdapter(
    Adapter[ScimConfig], CanScan, CanFetch, CanFind, CanWrite, CanDiscover
):
    """Speaks SCIM 2.0. Records are native: they have the entities' own shape.

    ``enterprise.manager`` and ``members[].value`` hold ids of the stream of people.
    Opening costs three requests for discovery and one a stream, which proves the
    credentials and shows whether the peer honours filters.
    """

    name = "scim"
    Config = ScimConfig
    StreamConfig = ScimStreamConfig
    reach = "outside"
    exposure = "internal"

    def __init__(self, config: ScimConfig, streams: Mapping[str, Any]) -> None:
        """Keep the configuration; no I/O here."""
        super().__init__(config, streams)
        self._client: HttpClient | None = None
        self._peer: Peer | None = None
        self._served: dict[str, _Served] = {}
        self._warnings: list[str] = []

    @classmethod
    def endpoints(cls, config: ScimConfig) -> Sequence[tuple[str, int]]:
        """The base URL's host and port, or the proxy's."""
        return [config.dialled]

    def open(self) -> None:
        """Discover the peer and check the credentials; see `Adapter.open`."""
        self._client = HttpClient(self.net, self.config, media_type=MEDIA_TYPE)
        try:
            self._peer = read_peer(self._client)
            self._warnings = list(self._peer.warnings)
            self._served = {
                name: self._serve(name, kind)
                for name, kind in self._wanted(self._peer).items()
            }
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; idempotent, never raises."""
        client, self._client = self._client, None
        self._served = {}
        if client is not None:
            client.close()

    def probe(self) -> Probe:
        """Identity, limits, and what the peer does badly."""
        peer = self._opened()
        ahead = self._client.clock_ahead if self._client else None
        warnings = [*self._warnings, *clock_warnings(ahead)]
        if not peer.abilities.etag:
            warnings.append("no ETags: every update is fetched and compared first")
        for name, served in self._served.items():
            if served.writer.drops_external_id:
                warnings.append(f"{name}: the peer does not keep externalId")
        return Probe(
            server=peer.identity,
            product="SCIM 2.0",
            abilities={name: s.abilities for name, s in self._served.items()},
            limits={
                "page": peer.abilities.max_results,
                "bulk": peer.abilities.bulk,
                "bulk_bytes": peer.abilities.bulk_bytes,
            },
            warnings=tuple(warnings),
        )

    def streams(self) -> Sequence[Stream]:
        """``people``, ``groups`` or another resource type, by the peer's schemas."""
        self._opened()
        return [served.stream(name) for name, served in self._served.items()]

    def traits(self, stream: str) -> WriteTraits:
        """People are ``keyed`` where the peer keeps externalId; groups ``lookup``."""
        served = self._stream(stream)
        writer, reader = served.writer, served.reader
        dedup: Any = "none"
        if reader.honest:
            keyed = reader.type.kind == "Person" and not writer.drops_external_id
            dedup = "keyed" if keyed else "lookup"
            if reader.type.kind == "Group" and writer.drops_external_id:
                dedup = "none"
        return WriteTraits(
            dedup=dedup,
            key_scope="object",
            max_batch=writer.batch if writer.batch > 1 else SINGLE_BATCH,
            conditional=reader.abilities.etag,
            retractable=True,
        )

    def scan(
        self, stream: str, partition: Partition, after: Any | None
    ) -> Iterator[Batch]:
        """All resources, page by page, to a proven end; see `CanScan.scan`."""
        del partition
        return self._stream(stream).reader.scan(after)

    def fetch(self, stream: str, refs: Sequence[Ref]) -> Sequence[Fetched]:
        """Records by id, in few requests where filters work; see `CanFetch.fetch`."""
        return self._stream(stream).reader.fetch(refs)

    def find(self, stream: str, queries: Sequence[Query]) -> Sequence[Sequence[Record]]:
        """Records by id, externalId, userName or displayName; see `CanFind.find`.

        Raises:
            ConfigurationError: ``scim.filter-ignored`` or ``scim.query``.
        """
        return self._stream(stream).reader.find(queries)

    def write(self, stream: str, intents: Sequence[Intent]) -> Sequence[Receipt]:
        """Create, change, disable or delete; see `CanWrite.write`."""
        return self._stream(stream).writer.write(intents)

    def discover(self) -> Suggestions:
        """Streams, page size, and what a create must hold."""
        peer = self._opened()
        items = []
        if 0 < peer.abilities.max_results < self.config.page_size:
            reason = "the peer serves no larger pages"
            size = peer.abilities.max_results
            items.append(Suggestion("page_size", size, 1.0, reason))
        for name, kind in self._wanted(peer).items():
            needed = ", ".join(required_names(kind.fields("people"))) or "nothing"
            reason = f"a create must hold: {needed}"
            items.append(
                Suggestion("resource_type", kind.name, 1.0, reason, stream=name)
            )
        return Suggestions(items, tuple(self._warnings))

    def _wanted(self, peer: Peer) -> dict[str, ResourceType]:
        names = self.stream_configs or {
            stream: ScimStreamConfig()
            for stream, kind in DEFAULT_TYPES.items()
            if kind in peer.types
        }
        found = {}
        for name, settings in names.items():
            wanted = settings.resource_type or DEFAULT_TYPES.get(name, name)
            if wanted not in peer.types:
                known = ", ".join(sorted(peer.types)) or "none"
                raise ConfigurationError(
                    f"Stream {name}: the peer has no resource type {wanted} for people "
                    f"or groups; it has: {known}. Set resource_type.",
                    code="scim.resource-type",
                )
            found[name] = peer.types[wanted]
        return found

    def _serve(self, name: str, kind: ResourceType) -> _Served:
        peer, client = self._opened(), self._connected()
        fields = kind.fields(self._people(peer))
        reader = Reader(
            client,
            kind,
            peer.abilities,
            fields=fields,
            page_size=self.config.page_size,
            stream=name,
            quick=self.config.quick,
        )
        if warning := reader.check_filters():
            self._warnings.append(warning)
        shape = Shape(
            kind.kind,
            fields,
            use_patch=self.config.patch == "auto" and peer.abilities.patch,
            use_etag=peer.abilities.etag,
            members_per_patch=self.config.members_per_patch,
            quick=self.config.quick,
        )
        settings = self.stream_configs.get(name)
        remove = (settings and settings.remove) or self.config.remove
        writer = Writer(
            client, reader, shape, config=self.config, disable=remove == "disable"
        )
        return _Served(reader, writer, self.abilities)

    def _people(self, peer: Peer) -> str:
        for name, kind in self._wanted(peer).items():
            if kind.kind == "Person":
                return name
        return "people"

    def _stream(self, name: str) -> _Served:
        self._opened()
        if name not in self._served:
            known = ", ".join(sorted(self._served))
            message = f"There is no stream {name} here; there are: {known}."
            raise ConfigurationError(message, code="scim.stream")
        return self._served[name]

    def _opened(self) -> Peer:
        if self._peer is None or self._client is None:
            raise NotApplied("The connection is not open.", code="scim.closed")
        return self._peer

    def _connected(self) -> HttpClient:
        if self._client is None:
            raise NotApplied("The connection is not open.", code="scim.closed")
        return self._client


class _Served:
    """One stream of an open connection."""

    def __init__(
        self, reader: Reader, writer: Writer, abilities: frozenset[str]
    ) -> None:
        self.reader = reader
        self.writer = writer
        lost = set() if reader.honest else {"CanFind"}
        self.abilities = abilities - lost - {"CanDiscover"}

    def stream(self, name: str) -> Stream:
        """The stream's description."""
        shape = ",".join(sorted(field.name for field in self.reader.fields))
        query = f"{self.reader.type.endpoint} {shape}"
        return Stream(
            name,
            self.reader.fields,
            abilities=self.abilities,
            entity=self.reader.type.kind,
            native=True,
            case_insensitive=True,
            query=hashlib.blake2b(query.encode(), digest_size=8).hexdigest(),
            label="confidential",
        )
