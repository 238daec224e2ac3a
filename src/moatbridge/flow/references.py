"""References: from the source's records to the target's, through the ledger's links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.ledger import marks
from moatbridge.ledger.keys import key_hash, name_hash
from moatbridge.translate import reference_key, references_in, replace_references

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from moatbridge.flow.route import Reference, Route
    from moatbridge.ledger import Transaction
    from moatbridge.translate import ReferenceKey

Missing = list[tuple[int, bytes, bool]]
"""Rows of (side id, hash, by name): references that nothing is linked to yet."""

NEEDED: Final = frozenset({"audience", "inReplyTo", "object"})
"""Members of content that must not go without what they refer to: a post that lost its
parent stands in the wrong place, one that lost a reader is for nobody."""


class Resolution(NamedTuple):
    """An entity whose references point into the target's system.

    Args:
        entity: Without those that nothing is linked to yet.
        missing: Who to wait for.
        lost: Entity paths of what was left out.
        unlinked: Keys of the references that were left out.
    """

    entity: dict[str, Any] | None
    missing: Missing
    lost: tuple[str, ...] = ()
    unlinked: frozenset[ReferenceKey] = frozenset()

    @property
    def incomplete(self) -> bool:
        """Whether it must not go like this, if it is content."""
        return bool(self.lost_heads & NEEDED)

    @property
    def lost_heads(self) -> set[str]:
        """Members of the entity from which something was left out."""
        return {path.partition(".")[0].partition("[")[0] for path in self.lost}


def resolve(
    tx: Transaction, route: Route, entities: Sequence[dict[str, Any] | None]
) -> list[Resolution]:
    """Replace every reference of a batch by the target's identity of that record.

    One look-up per stream and kind for the whole batch. An entry without a link yet is
    left out, and listed so that the record is judged afresh when the link appears. A
    reference that points into the target's system already stays as it is.
    """
    if route.writeback is not None:  # made by us, of the target's own records
        return [Resolution(entity, []) for entity in entities]
    bound = route.source.bound
    found = [references_in(e, bound) if e is not None else [] for e in entities]
    wanted = {reference_key(r) for pairs in found for _path, r in pairs}
    mapping = _mapping(tx, route, wanted)
    out: list[Resolution] = []
    for entity, pairs in zip(entities, found, strict=True):
        if entity is None or not pairs:
            out.append(Resolution(entity, []))
            continue
        new, unresolved = replace_references(entity, bound, mapping)
        keys = [reference_key(reference) for _path, reference in unresolved]
        missing = [row for key in keys for row in _missing(route, key)]
        lost = tuple(path for path, _reference in unresolved)
        out.append(Resolution(new, missing, lost, frozenset(keys)))
    return out


def nests(entity: str) -> bool:
    """Whether records of this type refer to records of their own stream, unsaid.

    A group's members are people and groups alike (RFC 7643 section 4.2); legacy systems
    mix both in one attribute, so a name that is nobody's is looked up among the groups.
    """
    return entity == "Group"


def through_own_pair(route: Route, entities: Iterable[dict[str, Any] | None]) -> bool:
    """Whether any of them refers to records that the flow's own pair links."""
    own = {
        stream
        for stream, through in route.references.items()
        if through.pair_id == route.row.pair_id
    }
    if not own:
        return False
    bound = route.source.bound
    return any(
        stream in own
        for entity in entities
        if entity is not None
        for _path, reference in references_in(entity, bound)
        for stream in _streams(route, reference_key(reference)[0])
    )


def _streams(route: Route, stream: str) -> list[str]:
    """Where a reference to this stream is looked up, in this order."""
    own = route.source.address
    return [stream, own] if nests(route.source.bound.entity) else [stream]


def _mapping(
    tx: Transaction, route: Route, wanted: set[ReferenceKey]
) -> dict[ReferenceKey, dict[str, Any]]:
    found: dict[ReferenceKey, dict[str, Any]] = {}
    kinds = {(stream, by) for stream, by, _text in wanted}
    for named, by in kinds:
        for stream in _streams(route, named):
            open_ = [k for k in wanted - found.keys() if (k[0], k[1]) == (named, by)]
            through = route.references.get(stream)
            if open_ and through is not None:
                found |= _linked(tx, through, by, open_)
    there = route.target.system + "/"
    for stream, by, text in wanted - found.keys():
        if stream.startswith(there):
            found[stream, by, text] = {"stream": stream, by: text}
    return found


def _linked(
    tx: Transaction, through: Reference, by: str, keys: Sequence[ReferenceKey]
) -> dict[ReferenceKey, dict[str, Any]]:
    found: dict[ReferenceKey, dict[str, Any]] = {}
    hashes = {_hash(by, key[2]): key for key in keys}
    side_id = through.pair_id * 2 + through.side
    ids = marks.resolve(tx, side_id, list(hashes), by_name=by == "name")
    links = marks.links(tx, set(ids.values()))
    other = 1 - through.side
    for k, link_id in ids.items():
        link = links.get(link_id)
        if link is not None and (text := link.key(other)):
            found[hashes[k]] = {
                "stream": through.target,
                "id": text,
                "name": link.name(other),
            }
    return found


def _hash(by: str, text: str) -> bytes:
    return name_hash(text) if by == "name" else key_hash(text)


def _missing(route: Route, key: ReferenceKey) -> Iterator[tuple[int, bytes, bool]]:
    named, by, text = key
    for stream in _streams(route, named):
        through = route.references.get(stream)
        if through is not None:
            side_id = through.pair_id * 2 + through.side
            yield side_id, _hash(by, text), by == "name"
