"""Who owns what in a pair of flows: fields, and existence (delivery 47)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from moatbridge.errors import ConfigurationError
from moatbridge.flow.agreement import PairCarry
from moatbridge.flow.carry import Carry
from moatbridge.flow.conflicts import DECIDERS, LATEST, STAMP
from moatbridge.flow.merging import MERGE, check_merged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge.config import BridgeConfig, FlowConfig
    from moatbridge.flow.route import End

EXISTENCE: Final = "."


@dataclass(frozen=True, slots=True)
class Owning:
    """What one flow carries, as its pair says.

    Args:
        carry: Paths that its updates carry.
        back: What the opposite flow carries; None for a one-way flow.
        creates: Its source owns existence.
        contested: Paths of nobody -> ``latest``, ``hold`` or ``merge``.
    """

    carry: Carry
    back: Carry | None = None
    creates: bool = True
    contested: dict[str, str] = field(default_factory=dict)


def opposite(config: BridgeConfig, settings: FlowConfig) -> FlowConfig | None:
    """The flow over the same two streams, the other way."""
    for other in config.flows.values():
        if (other.source, other.target) == (settings.target, settings.source):
            return other
    return None


def owning(
    config: BridgeConfig,
    settings: FlowConfig,
    *,
    name: str,
    side: int,
    source: End,
    target: End,
    shared: Sequence[str],
) -> Owning:
    """What a flow carries.

    Args:
        config: The bridge's.
        settings: The flow's.
        name: Its name.
        side: Side of its source, 0 or 1.
        source: Where it reads.
        target: Where it writes.
        shared: Entity paths that both ends can express.

    Raises:
        ConfigurationError: ``flow.owner``: a path belongs to nobody, and it cannot be
            told who changed it, or it cannot be merged.
    """
    rival = opposite(config, settings)
    if rival is None:
        return Owning(Carry(shared))
    table = settings.owner or rival.owner or {}
    first = _first(config, settings)
    owners = {path: _owner(table, path, first) for path in shared}
    contested = {path: who for path, who in owners.items() if who in DECIDERS}
    merged = [path for path, who in contested.items() if who == MERGE]
    check_merged(name, table, merged, (source, target))
    _check(name, contested, (source, target))
    mine = [p for p in shared if owners[p] == source.address or p in contested]
    theirs = [p for p in shared if owners[p] != source.address]
    return Owning(
        PairCarry(mine, side=side, whole=shared, merged=merged),
        Carry(theirs),
        table.get(EXISTENCE, first) == source.address,
        contested,
    )


def _first(config: BridgeConfig, settings: FlowConfig) -> str:
    """Side a is the source of the flow that comes first in the configuration."""
    ends = {settings.source, settings.target}
    flows = config.flows.values()
    return next(f.source for f in flows if {f.source, f.target} == ends)


def _owner(table: Mapping[str, str], path: str, first: str) -> str:
    """The exact entry, then the field's, then ``*``."""
    head = path.partition(".")[0].partition("[")[0]
    return next((table[key] for key in (path, head, "*") if key in table), first)


def _check(name: str, contested: Mapping[str, str], ends: tuple[End, End]) -> None:
    for end in ends if contested else ():
        if not end.can("CanFetch"):
            raise ConfigurationError(
                f"Flow {name!r}: {_some(contested)} may be changed on both sides, but "
                f"records of {end.address} cannot be looked at one by one. Name the "
                "stream that owns it instead.",
                code="flow.owner",
                stream=end.address,
            )
        if LATEST in contested.values() and STAMP not in end.bound.paths:
            raise ConfigurationError(
                f"Flow {name!r}: the later edit of {_some(contested)} counts, so the "
                f"translator of {end.address} must map `{STAMP}` (when a record was "
                "last changed). Map it, or use `hold`.",
                code="flow.owner",
                stream=end.address,
            )


def _some(contested: Mapping[str, str]) -> str:
    return ", ".join(sorted(contested)[:3])
