"""What a stretch of reading means, gathered until it is committed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from moatbridge.ledger import marks
from moatbridge.ledger.keys import key_hash, made_storable, name_hash

if TYPE_CHECKING:
    from moatbridge.changes import Ref, Reject
    from moatbridge.flow.route import Route
    from moatbridge.ledger import Transaction
    from moatbridge.ledger.replies import Answer, Reply
    from moatbridge.ledger.staging import Staged

Dead = tuple[bytes | None, str | None, str, str, str | None]
"""A reject: key hash, ref as JSON, location, reason code, field."""


@dataclass(slots=True)
class Observation:
    """What a batch of changes means; to be committed in one transaction."""

    upserts: list[Staged] = field(default_factory=list)
    disables: list[Staged] = field(default_factory=list)
    deletes: list[Staged] = field(default_factory=list)
    touched: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)
    renamed: list[tuple[int, str | None, str | None]] = field(default_factory=list)
    rejects: list[Dead] = field(default_factory=list)
    fine: list[bytes] = field(default_factory=list)
    links: list[int] = field(default_factory=list)
    seen: int = 0
    blind: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    restored: list[bytes] = field(default_factory=list)
    restore: list[int] = field(default_factory=list)
    taken: list[Reply] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    waiting: list[bytes] = field(default_factory=list)

    def count(self, what: str, number: int = 1) -> None:
        """Add to a named count (``unchanged``, ``drift`` ...)."""
        self.counts[what] = self.counts.get(what, 0) + number

    @property
    def staged(self) -> int:
        """How many intents there are."""
        return len(self.upserts) + len(self.disables) + len(self.deletes)

    def merge(self, other: Observation) -> None:
        """Add what another stretch of the same reading found."""
        for one in fields(Observation):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            if isinstance(mine, list):
                mine.extend(theirs)
            elif isinstance(mine, dict):
                for name, number in theirs.items():
                    mine[name] = mine.get(name, 0) + number
            else:
                setattr(self, one.name, mine + theirs)


def told_by_adapter(reject: Reject) -> Dead:
    """What an adapter could not read, in words that a database can hold."""
    where, why = made_storable(reject.location), made_storable(reject.reason)
    field = reject.field and made_storable(reject.field)
    if reject.ref is None:
        return key_hash(f"blind/{why}/{where}"), None, where, why, field
    k, ref = key_hash(made_storable(reject.ref.key)), ref_json(reject.ref)
    return k, ref, where, why, field


def ref_json(ref: Ref) -> str:
    """A ref as the ledger keeps it."""
    return json.dumps([ref.key, ref.name])


def commit_names(tx: Transaction, route: Route, observation: Observation) -> None:
    """Write new mutable names (and their aliases) of records that only moved."""
    column = "a_name" if route.row.side == 0 else "b_name"
    tx.many(
        f"UPDATE link SET {column}=? WHERE link_id=?",
        [(new, link_id) for link_id, new, _old in observation.renamed],
    )
    if route.source_named:
        marks.alias_put(
            tx,
            route.row.source_side,
            [
                (name_hash(new), link_id, name_hash(old) if old else None)
                for link_id, new, old in observation.renamed
                if new
            ],
        )
