"""One text for one meaning: canonical JSON and fingerprints (entities 7)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from moatbridge.entities.encoding import json_encoder
from moatbridge.entities.registry import entity_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moatbridge.entities.shapes import EntityType, Shape

_encode = json_encoder(allow_nan=False, sort_keys=True)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces; the same text for the same value."""
    return _encode(value)


def fingerprint(
    entity: Mapping[str, Any], kind: str | type | EntityType = "Person"
) -> bytes:
    """SHA-256 of what an entity says; equal fingerprints mean "no change".

    Lists of ``unordered`` fields are sorted first, a top-level ``label`` is left out.

    Args:
        entity: Not changed.
        kind: Its type.

    Returns:
        32 bytes.

    Raises:
        ConfigurationError: ``entity.unknown``.
    """
    return fingerprinter(kind)(entity)


def fingerprinter(
    kind: str | type | EntityType,
) -> Callable[[Mapping[str, Any]], bytes]:
    """`fingerprint` for one type: what is the same for all its entities is done once.

    Raises:
        ConfigurationError: ``entity.unknown``.
    """
    described = entity_type(kind)
    members = described.shape.members
    unordered = {
        name: (members[name], _nests_within(members[name]))
        for name in described.unordered
    }
    names = unordered.keys()

    def fingerprint_of(entity: Mapping[str, Any]) -> bytes:
        changed: dict[str, Any] = {}
        for name in names & entity.keys():
            value, (shape, nests) = entity[name], unordered[name]
            if not isinstance(value, list | dict):
                continue
            if nests or len(value) > 1 or isinstance(value, dict):
                changed[name] = _arranged(value, shape)
        arranged = {**entity, **changed} if changed else entity
        if "label" in arranged:
            arranged = {name: v for name, v in arranged.items() if name != "label"}
        return hashlib.sha256(_encode(arranged).encode()).digest()

    return fingerprint_of


def _arranged(value: Any, shape: Shape | None) -> Any:
    if shape is None:
        return value
    if isinstance(value, dict):
        return {k: _arranged(v, _below(shape, k)) for k, v in value.items()}
    if not isinstance(value, list):
        return value
    if len(value) == 1 and not _nests_within(shape):
        return value
    entries = [_arranged(each, shape.item) for each in value]
    if shape.attribute.unordered and len(entries) > 1:
        entries.sort(key=_order)
    return entries


def _below(shape: Shape, name: str) -> Shape | None:
    if (
        shape.kind == "list"
    ):  # the delta form of a list: {"add": [...], "remove": [...]}
        return shape
    return shape.item if shape.kind == "map" else shape.members.get(name)


def _nests_within(shape: Shape) -> bool:
    """Whether entries of this list have lists or objects in them."""
    members = shape.item.members.values() if shape.item else ()
    return any(member.kind in {"list", "object"} for member in members)


def _order(entry: Any) -> tuple[str, str, str]:
    text = canonical_json(entry)
    if not isinstance(entry, dict):
        return "", "", text
    return str(entry.get("type") or ""), str(entry.get("value") or ""), text
