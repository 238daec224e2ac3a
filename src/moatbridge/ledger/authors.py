"""Whose item a held one is, in every name that the ledger's links know (guard 33)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from moatbridge.ledger import marks
from moatbridge.ledger.keys import key_hash, name_hash, storable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moatbridge.ledger.database import Transaction

_AUTHORS: Final = ("attributedTo", "actor")
_MOST: Final = 50
"""People and accounts that are followed for one item, at most."""

_Address = tuple[str, str, bool]
"""Stream, key or name there, and whether it is the name."""


def authors_of(tx: Transaction, flow_id: int, item: str) -> frozenset[str]:
    """Every name of the people whose held item this is; empty for other items.

    These are who a post is attributed to (as it would be sent, and as it is now), and
    who decided by a reply, even if masks took the name out of it. A person or an
    account is followed through the links of all pairs to what other systems call it, as
    decisions find their people.

    Args:
        tx: Open transaction.
        flow_id: The flow.
        item: `Waiting.item`.
    """
    if not (item.startswith("h") and item[1:].isdigit()):
        return frozenset()
    row = tx.one(
        "SELECT i.payload, f.scope FROM hold h "
        "JOIN intent i ON i.parcel_id=h.parcel_id JOIN flow f ON f.flow_id=h.flow_id "
        "WHERE h.flow_id=? AND h.hold_id=?",
        flow_id,
        int(item[1:]),
    )
    if row is None or row[0] is None:
        return frozenset()
    payload, scope = json.loads(row[0]), str(row[1])
    names = {each for each in payload.get("who") or () if isinstance(each, str)}
    for entity in (payload.get("entity"), payload.get("before")):
        names |= _named(tx, scope, entity or {})
    return frozenset(names)


def _named(tx: Transaction, scope: str, entity: Mapping[str, Any]) -> set[str]:
    names: set[str] = set()
    left: list[_Address] = []
    if isinstance(entity.get("identity"), str):
        names.add(entity["identity"])
    for member in _AUTHORS:
        reference = entity.get(member)
        if isinstance(reference, str):
            names.add(reference)
        elif isinstance(reference, dict):
            left += _addresses(reference)
    return names | _known(tx, scope, left)


def _addresses(reference: Mapping[str, Any]) -> Iterator[_Address]:
    stream = str(reference.get("stream") or "")
    for member in ("id", "name"):
        if reference.get(member):
            yield stream, str(reference[member]), member == "name"


def _known(tx: Transaction, scope: str, left: list[_Address]) -> set[str]:
    """What these people are called, here and wherever they are linked to."""
    seen: set[_Address] = set()
    while left and len(seen) < _MOST:
        one = left.pop()
        if one not in seen:
            seen.add(one)
            left += _linked(tx, scope, one)
    return {name for _stream, name, _by_name in seen}


def _linked(tx: Transaction, scope: str, one: _Address) -> Iterator[_Address]:
    stream, text, by_name = one
    if not stream or not storable(text):
        return
    pairs = tx.all(
        "SELECT pair_id, a, b FROM pair WHERE scope=? AND (a=? OR b=?)",
        scope,
        stream,
        stream,
    )
    k = name_hash(text) if by_name else key_hash(text)
    for pair_id, a, b in pairs:
        side_id = pair_id * 2 + (0 if a == stream else 1)
        ids = marks.resolve(tx, side_id, [k], by_name=by_name).values()
        for link in marks.links(tx, ids).values():
            for address, key, name in (
                (a, link.a_key, link.a_name),
                (b, link.b_key, link.b_name),
            ):
                yield from ((address, key, False),) if key else ()
                yield from ((address, name, True),) if name else ()
