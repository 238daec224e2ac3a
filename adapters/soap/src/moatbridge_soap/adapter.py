"""`SoapAdapter`: the operations of any WSDL as streams, by declaration only.

Sources: SOAP 1.1 (W3C Note), SOAP 1.2, WSDL 1.1, WS-I Basic Profile, WSS 1.1.1,
WS-Addressing 1.0.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from moatbridge.adapter import (
    Adapter,
    CanDiscover,
    CanFetch,
    CanFind,
    CanFollow,
    CanScan,
    CanWrite,
)
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge_soap.config import SoapConfig, SoapStreamConfig
from moatbridge_soap.config.system import origin_of
from moatbridge_soap.connection import Connection
from moatbridge_soap.discover import suggest
from moatbridge_soap.fetch import Fetch
from moatbridge_soap.follow import Follow
from moatbridge_soap.noticing import Deviations
from moatbridge_soap.probing import probe
from moatbridge_soap.scan import Scan, split
from moatbridge_soap.traits import traits_of
from moatbridge_soap.write import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from moatbridge.adapter import (
        Partition,
        Probe,
        Query,
        Stream,
        Suggestions,
        WriteTraits,
    )
    from moatbridge.changes import Batch, Fetched, Intent, Receipt, Record, Ref
    from moatbridge_soap.streams import CompiledStream


class SoapAdapter(
    Adapter[SoapConfig], CanScan, CanFollow, CanFetch, CanFind, CanWrite, CanDiscover
):
    """Speaks SOAP 1.1 and 1.2 to one port of one WSDL.

    Opening reads the WSDL (once for each process), binds every configured stream to it,
    connects, logs in where that is configured, and calls ``ping`` if there is one. A
    WS-Security password is proved only by ``ping`` or the first call.
    """

    name = "soap"
    Config = SoapConfig
    StreamConfig = SoapStreamConfig
    reach = "inside"
    exposure = "internal"

    def __init__(self, config: SoapConfig, streams: Mapping[str, Any]) -> None:
        """Keep the configuration; no I/O here."""
        super().__init__(config, streams)
        self._connection: Connection | None = None
        self._deviations = Deviations()

    @classmethod
    def endpoints(cls, config: SoapConfig) -> Sequence[tuple[str, int]]:
        """The endpoint, and where documents may be downloaded; or the proxy."""
        if config.proxy is not None:
            return [origin_of(config.proxy)[1:]]
        urls = [config.endpoint, *config.import_origins]
        if config.wsdl.startswith("http"):
            urls.append(config.wsdl)
        return list(dict.fromkeys(origin_of(url)[1:] for url in urls))

    def open(self) -> None:
        """Read the WSDL, connect, log in; see `Adapter.open`."""
        quiet_drivers()
        connection = Connection(self.config, self.stream_configs, self.net)
        try:
            connection.open()
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def close(self) -> None:
        """Close the connection; idempotent, never raises."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def probe(self) -> Probe:
        """Identity, limits and warnings; asks the endpoint for its time."""
        return probe(self._opened())

    def notices(self, stream: str | None = None) -> Sequence[str]:
        """How answers deviated from the WSDL and were taken all the same."""
        connection = self._connection
        if connection is None:
            return ()
        return self._deviations.news(connection.caller.tolerated, stream)

    def streams(self) -> Sequence[Stream]:
        """What the configured operations list and get, typed by the WSDL."""
        return [stream.described() for stream in self._opened().streams.values()]

    def traits(self, stream: str) -> WriteTraits:
        """``keyed`` where the service takes our key; the weakest operation decides."""
        return traits_of(self._stream(stream))

    def split(self, stream: str, wanted: int) -> Sequence[Partition]:
        """Partitions by ``list.split``; see `CanScan.split`."""
        return split(self._stream(stream), wanted)

    def scan(
        self, stream: str, partition: Partition, after: Any | None
    ) -> Iterator[Batch]:
        """All records, page by page; see `CanScan.scan`."""
        connection = self._opened()
        found = self._stream(stream)
        scan = Scan(connection.caller, found, partition, connection.server_time_now)
        return scan.batches(after)

    def changes(self, stream: str, after: Any | None) -> Iterator[Batch]:
        """What changed since; see `CanFollow.changes`."""
        connection = self._opened()
        follow = Follow(connection.caller, self._stream(stream), connection.server_time)
        return iter([follow.now()]) if after is None else follow.batches(after)

    def fetch(self, stream: str, refs: Sequence[Ref]) -> Sequence[Fetched]:
        """Records by key; see `CanFetch.fetch`."""
        return Fetch(self._opened().caller, self._stream(stream)).fetch(refs)

    def find(self, stream: str, queries: Sequence[Query]) -> Sequence[Sequence[Record]]:
        """Records by key or by a field of ``find``; see `CanFind.find`."""
        return Fetch(self._opened().caller, self._stream(stream)).find(queries)

    def write(self, stream: str, intents: Sequence[Intent]) -> Sequence[Receipt]:
        """Create, change or remove; see `CanWrite.write`."""
        connection = self._opened()
        found = self._stream(stream)
        if not found.config.writes and intents:
            raise found_no_write(stream)
        receipts = Writer(connection.caller, found).write(intents)
        if any(receipt.outcome == "unknown" for receipt in receipts):
            connection.endpoint.close()
        return receipts

    def discover(self) -> Suggestions:
        """Streams and settings that the WSDL suggests; calls nothing."""
        return suggest(self._opened())

    def _opened(self) -> Connection:
        if self._connection is None:
            raise NotApplied("The connection is not open.", code="soap.closed")
        return self._connection

    def _stream(self, name: str) -> CompiledStream:
        connection = self._opened()
        streams = connection.streams
        if name not in streams:
            known = ", ".join(sorted(streams)) or "none"
            message = f"There is no stream {name} here; there are: {known}."
            raise ConfigurationError(message, code="soap.stream")
        self._deviations.turn_to(name, connection.caller.tolerated)
        return streams[name]


def found_no_write(stream: str) -> ConfigurationError:
    """The stream has no table that writes."""
    message = f"Stream {stream} has no create, update, upsert or delete."
    return ConfigurationError(message, code="soap.no-operation")


class _NoBodies(logging.Filter):
    """zeep logs passwords at DEBUG, urllib3 broken headers as warnings: neither."""

    def filter(self, record: logging.LogRecord) -> bool:
        loud = record.levelno >= logging.WARNING
        return loud and not record.name.startswith("urllib3")


_QUIET = _NoBodies("moatbridge_soap")
_TALKERS = (
    "zeep",
    "zeep.transports",
    "zeep.wsdl.wsdl",
    "zeep.wsdl.bindings.soap",
    "zeep.xsd.visitor",
    "zeep.xsd.schema",
    "zeep.xsd.types.simple",
    "zeep.xsd.types.complex",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.response",
)


def quiet_drivers() -> None:
    """Put the filter on the drivers' loggers; doing it twice changes nothing."""
    for name in _TALKERS:
        logging.getLogger(name).addFilter(_QUIET)
