"""What streams of another zone are like: told through the ledger (scale 2).

A worker reaches the systems of its own zones only. It describes those, and writes what
it found where workers of other zones can read it; no secret and no record is in it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moatbridge.adapter import Field, Probe, Quota, Stream, WriteTraits
from moatbridge.errors import NotApplied
from moatbridge.ledger import workers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moatbridge.ledger import Ledger

_FLAGS = ("native", "case_insensitive", "snapshot_scan", "settle_destroys")


@dataclass(frozen=True, slots=True)
class Described:
    """What a system says about one of its streams."""

    stream: Stream
    probe: Probe
    traits: WriteTraits | None


def remember(ledger: Ledger, found: Iterable[tuple[str, Described]]) -> None:
    """Keep descriptions of streams, by their addresses, for workers of other zones."""
    with ledger.write() as tx:
        for address, described in found:
            workers.describe(tx, ledger.scope, address, to_json(described))


def recall(ledger: Ledger, address: str, zone: str) -> Described:
    """What a worker of that zone found.

    Raises:
        NotApplied: ``run.zone-description``: none did so far.
    """
    with ledger.read() as tx:
        body = workers.description(tx, ledger.scope, address)
    if body is None:
        raise NotApplied(
            f"{address} lies in zone {zone}, which this worker does not serve, and no "
            "worker of that zone has described it yet; start one.",
            code="run.zone-description",
            stream=address,
            retry_after=5.0,
        )
    return from_json(body)


def to_json(described: Described) -> str:
    """A description as text, without suggestions and limits: no flow uses them."""
    stream, probe, traits = described.stream, described.probe, described.traits
    return json.dumps(
        {
            "stream": {
                **{name: getattr(stream, name) for name in _FLAGS},
                "name": stream.name,
                "fields": [_field_out(each) for each in stream.fields],
                "key": stream.key,
                "abilities": sorted(stream.abilities),
                "entity": stream.entity,
                "sees_deletes": stream.sees_deletes,
                "query": stream.query,
                "label": stream.label,
            },
            "probe": {
                "server": probe.server,
                "product": probe.product,
                "account": probe.account,
                "abilities": {k: sorted(v) for k, v in probe.abilities.items()},
                "warnings": probe.warnings,
                "quota": {k: [q.rate, q.burst] for k, q in probe.quota.items()},
            },
            "traits": None if traits is None else _plain(traits),
        }
    )


def from_json(text: str) -> Described:
    """The description that `to_json` wrote."""
    found: dict[str, Any] = json.loads(text)
    stream, probe, traits = found["stream"], found["probe"], found["traits"]
    return Described(
        Stream(
            **{
                **stream,
                "fields": tuple(map(_field_in, stream["fields"])),
                "key": tuple(stream["key"]),
                "abilities": frozenset(stream["abilities"]),
            }
        ),
        Probe(
            **{
                **probe,
                "abilities": {k: frozenset(v) for k, v in probe["abilities"].items()},
                "warnings": tuple(probe["warnings"]),
                "quota": {k: Quota(*q) for k, q in probe["quota"].items()},
            }
        ),
        None if traits is None else WriteTraits(**traits),
    )


def _field_out(field: Field) -> dict[str, Any]:
    return {**_plain(field), "fields": [_field_out(each) for each in field.fields]}


def _field_in(plain: dict[str, Any]) -> Field:
    return Field(**{**plain, "fields": tuple(map(_field_in, plain["fields"]))})


def _plain(value: Field | WriteTraits) -> dict[str, Any]:
    return {name: getattr(value, name) for name in type(value).__dataclass_fields__}
