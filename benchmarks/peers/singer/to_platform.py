"""singer-sdk: a tap and a target, as two processes with a pipe between them.

The tap's process is forked after the imports, so starting Python is not counted twice.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from harness.measuring import peak
from singer_sdk import BatchSink, Stream, Tap, Target
from singer_sdk import typing as th

from peers.platform import BATCH, WITH_CURSOR, Platform, passes, records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Order = dict[str, Any]
NUMBERS = ("pers_nr", "geaendert")
SETTINGS = th.PropertiesList(
    th.Property("database", th.StringType),
    th.Property("url", th.StringType),
    th.Property("replaces", th.BooleanType),
).to_dict()


class People(Stream):
    """The table."""

    name = "people"
    primary_keys: ClassVar = ["pers_nr"]
    replication_key = "geaendert"
    schema = th.PropertiesList(
        *(
            th.Property(name, th.IntegerType if name in NUMBERS else th.StringType)
            for name in WITH_CURSOR
        )
    ).to_dict()

    def get_records(self, context: Any) -> Iterator[dict[str, Any]]:
        since = self.get_starting_replication_key_value(context)
        for batch in records(self.config["database"], since):
            yield from batch


class PeopleTap(Tap):
    """The source."""

    name = "tap-people"
    config_jsonschema = SETTINGS

    def discover_streams(self) -> list[Stream]:
        return [People(self)]


class PlatformSink(BatchSink):
    """The target's stream."""

    max_size = BATCH

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._platform = Platform(self.config["url"], replaces=self.config["replaces"])

    def process_batch(self, context: dict[str, Any]) -> None:
        self._platform.send(context["records"])


class PlatformTarget(Target):
    """The platform."""

    name = "target-platform"
    config_jsonschema = SETTINGS
    default_sink_class = PlatformSink


def _pass(
    order: Order, *, replaces: bool, since: int | None = None
) -> Callable[[], Order]:
    settings = {
        "database": order["source"]["path"],
        "url": order["sink"],
        "replaces": replaces,
    }
    bookmark = {"replication_key": "geaendert", "replication_key_value": since}
    state = {"bookmarks": {"people": bookmark}} if since is not None else None
    size = Path(order["folder"]) / "tap-peak"

    def tap(writing: int) -> None:
        os.dup2(writing, 1)
        sys.stdout = os.fdopen(1, "w", buffering=1 << 16)
        PeopleTap(config=settings, state=state).sync_all()
        sys.stdout.flush()
        size.write_text(str(peak()))

    def run() -> Order:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            try:
                tap(writing)
            finally:
                os._exit(0)
        os.close(writing)
        kept, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115, PTH123
        with os.fdopen(reading) as lines:
            PlatformTarget(config=settings).listen(lines)
        sys.stdout = kept
        os.waitpid(child, 0)
        return {"peak_mib": float(size.read_text())}

    return run


first, again, delta = passes(_pass)
