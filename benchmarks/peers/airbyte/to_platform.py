"""airbyte-cdk: a source and a destination.

As deployed they are two processes with lines of JSON between them (``_piped``; the second
is forked after the imports, so starting Python is not counted twice). In one process,
messages go from one to the other as objects, which is cheaper than it ever runs.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from airbyte_cdk.destinations import Destination
from airbyte_cdk.entrypoint import AirbyteEntrypoint
from airbyte_cdk.models import (
    AirbyteConnectionStatus,
    AirbyteStateBlob,
    AirbyteStateMessage,
    AirbyteStateType,
    AirbyteStreamState,
    ConfiguredAirbyteCatalog,
    ConfiguredAirbyteStream,
    DestinationSyncMode,
    Status,
    StreamDescriptor,
    SyncMode,
    Type,
)
from airbyte_cdk.sources import AbstractSource
from airbyte_cdk.sources.streams import Stream

from peers.platform import BATCH, WITH_CURSOR, Platform, passes, records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

Order = dict[str, Any]
NUMBERS = ("pers_nr", "geaendert")
FINE = AirbyteConnectionStatus(status=Status.SUCCEEDED)


class People(Stream):
    """The table."""

    name = "people"
    primary_key = "pers_nr"
    cursor_field = "geaendert"
    state_checkpoint_interval = 10_000

    def __init__(self, database: str) -> None:
        self._database = database
        self._state: dict[str, Any] = {}

    @property
    def state(self) -> dict[str, Any]:
        return self._state

    @state.setter
    def state(self, value: dict[str, Any]) -> None:
        self._state = value

    def get_json_schema(self) -> dict[str, Any]:
        kinds = {
            n: {"type": "integer" if n in NUMBERS else "string"} for n in WITH_CURSOR
        }
        return {"type": "object", "properties": kinds}

    def read_records(
        self,
        sync_mode: Any,
        cursor_field: Any = None,
        stream_slice: Any = None,
        stream_state: Any = None,
    ) -> Iterator[Mapping[str, Any]]:
        for batch in records(self._database, self._state.get("geaendert")):
            yield from batch
            self._state = {"geaendert": batch[-1]["geaendert"]}


class PeopleSource(AbstractSource):
    """The source."""

    def check_connection(self, logger: Any, config: Any) -> tuple[bool, Any]:
        return True, None

    def streams(self, config: Mapping[str, Any]) -> list[Stream]:
        return [People(config["database"])]


class PlatformDestination(Destination):
    """The platform."""

    def check(self, logger: Any, config: Any) -> AirbyteConnectionStatus:
        return FINE

    def write(
        self,
        config: Mapping[str, Any],
        configured_catalog: Any,
        input_messages: Iterable[Any],
    ) -> Iterable[Any]:
        platform = Platform(config["url"], replaces=config["replaces"])
        waiting: list[Any] = []
        for message in input_messages:
            if message.type is Type.RECORD:
                waiting.append(message.record.data)
                if len(waiting) == BATCH:
                    platform.send(waiting)
                    waiting.clear()
            elif message.type is Type.STATE:
                if waiting:
                    platform.send(waiting)
                    waiting.clear()
                yield message
        if waiting:
            platform.send(waiting)


def _pass(
    order: Order, *, replaces: bool, since: int | None = None, piped: bool = False
) -> Callable[[], Order]:
    logging.getLogger("airbyte").setLevel(logging.WARNING)
    config = {
        "database": order["source"]["path"],
        "url": order["sink"],
        "replaces": replaces,
    }
    mode = SyncMode.full_refresh if since is None else SyncMode.incremental
    state = None
    if since is not None:
        at = AirbyteStreamState(
            stream_descriptor=StreamDescriptor(name="people"),
            stream_state=AirbyteStateBlob(geaendert=since),
        )
        state = [AirbyteStateMessage(type=AirbyteStateType.STREAM, stream=at)]

    source = PeopleSource()
    chosen = ConfiguredAirbyteStream(
        stream=source.streams(config)[0].as_airbyte_stream(),
        sync_mode=mode,
        cursor_field=["geaendert"],
        destination_sync_mode=DestinationSyncMode.append,
    )
    catalog = ConfiguredAirbyteCatalog(streams=[chosen])

    def messages() -> Iterator[Any]:
        return source.read(logging.getLogger("airbyte"), config, catalog, state)

    def run() -> Order:
        with _through_a_pipe(messages) if piped else nullcontext(messages()) as given:
            for _state in PlatformDestination().write(config, catalog, given):
                pass
        return {}

    return run


@contextmanager
def _through_a_pipe(messages: Callable[[], Iterator[Any]]) -> Iterator[Iterator[Any]]:
    """The source in a process of its own: a line of JSON for each message."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        try:
            with os.fdopen(writing, "w", buffering=1 << 16) as out:
                for message in messages():
                    out.write(
                        AirbyteEntrypoint.airbyte_message_to_string(message) + "\n"
                    )
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as lines:
        yield PlatformDestination()._parse_input_stream(lines)
    os.waitpid(child, 0)


first, again, delta = passes(_pass)
first_piped, again_piped, delta_piped = passes(partial(_pass, piped=True))
