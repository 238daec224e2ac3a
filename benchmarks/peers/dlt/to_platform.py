"""dlt: a resource and a custom destination, batches of 100, no tables of its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import dlt

from peers.platform import BATCH, Platform, passes, records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Order = dict[str, Any]
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"


def _pass(
    order: Order, *, replaces: bool, since: int | None = None
) -> Callable[[], Order]:
    cursor = dlt.sources.incremental(
        "geaendert", initial_value=since, range_start="open"
    )

    @dlt.resource(name="people", write_disposition="append")
    def everybody() -> Iterator[list[dict[str, Any]]]:
        yield from records(order["source"]["path"], None)

    @dlt.resource(name="people", write_disposition="append")
    def latest(geaendert: Any = cursor) -> Iterator[list[dict[str, Any]]]:
        yield from records(order["source"]["path"], geaendert.last_value)

    def run() -> Order:
        platform = Platform(order["sink"], replaces=replaces)

        @dlt.destination(batch_size=BATCH, max_parallel_load_jobs=1)
        def scim(items: list[dict[str, Any]], table: Any) -> None:
            platform.send(items)

        pipeline = dlt.pipeline(
            "benchmark", destination=scim, pipelines_dir=order["folder"] + "/dlt"
        )
        pipeline.run(everybody() if since is None else latest())
        return {}

    return run


first, again, delta = passes(_pass)
