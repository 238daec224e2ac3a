"""What the description of a stream says for its configuration: pure.

For adapters that describe their streams without being asked to discover any, such as
those made of functions: names, keys, fields and the entity are declared already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from moatbridge.adapter import Suggestion, suggested_by_names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from moatbridge.adapter import Stream, Suggestions
    from moatbridge.config import PartlyRead

OTHER: Final = "OTHER"
"""Stands where a person must name the system at the other end of a flow."""

_READS: Final = frozenset({"CanScan", "CanFollow"})
_MOST: Final = 3


def from_streams(
    streams: Sequence[Stream], found: Suggestions, translated: Collection[str] = ()
) -> Iterator[Suggestion]:
    """Entity and translator of streams for which ``discover`` said neither.

    Args:
        streams: As the adapter describes them.
        found: What it suggests by itself.
        translated: Local names of streams that have a translator already.
    """
    said = {each.stream for each in found.items if each.setting in _SAID}
    for stream in streams:
        if stream.name in said:
            continue
        if stream.suggested:
            yield from _own(stream)
        elif not stream.native and stream.name not in translated:
            yield from suggested_by_names(stream)


_SAID: Final = frozenset(
    {"entity", "translator.entity", "translator", "translator.fields"}
)


def _own(stream: Stream) -> Iterator[Suggestion]:
    reason, table = "well-known names", dict(stream.suggested)
    if stream.entity:
        yield Suggestion("entity", stream.entity, 1.0, reason, stream.name)
    yield Suggestion("translator", table, 1.0, reason, stream.name)


@dataclass(frozen=True, slots=True)
class FlowIdea:
    """A flow that could be configured.

    Args:
        name: For ``[flows.NAME]``.
        source: Address it would read.
        target: Address it would write; its system may be `OTHER`.
        either: It could as well be the other way round.
    """

    name: str
    source: str
    target: str
    either: bool = False


def flow_ideas(
    file: PartlyRead, system: str, abilities: dict[str, frozenset[str] | None]
) -> Iterator[FlowIdea]:
    """A flow for each stream of a system that no flow names yet; three at most.

    Args:
        file: What the configuration says so far.
        system: Name of the system.
        abilities: Local stream name -> what it can do; None where nobody knows yet.
    """
    free = [name for name in abilities if f"{system}/{name}" not in file.ends]
    for name in free[:_MOST]:
        own, able = f"{system}/{name}", abilities[name]
        other = _other_end(file, system, name)
        taken = name.lower() in file.config.flows
        flow = f"{system}-{name}".lower() if taken else name.lower()
        writes = able is not None and "CanWrite" in able
        if writes and able is not None and not _READS & able:
            yield FlowIdea(flow, other, own)
        else:
            yield FlowIdea(flow, own, other, either=writes)


def _other_end(file: PartlyRead, system: str, name: str) -> str:
    others = [a for a in file.streams if a.partition("/")[0] != system]
    alike = [a for a in others if a.partition("/")[2] == name]
    best = alike or (others if len(others) == 1 else [])
    if best:
        return best[0]
    systems = [each for each in file.systems if each != system]
    return f"{systems[0] if len(systems) == 1 else OTHER}/{name}"
