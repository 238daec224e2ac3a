"""Intents to blocks of rows, column by column: the fast road of a write. Pure.

Theory of operation. A block is what one statement can carry: rows of one operation and
one set of columns, no key twice. A batch that is made of such blocks alone, and holds
nothing unusual, is written as blocks; any other one, and any that the database refuses
a part of, goes row by row (`_intents`, `engine._writing`), which knows every case. So
a block has one outcome for all its rows: applied, or unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice, repeat
from operator import attrgetter, gt, itemgetter
from typing import TYPE_CHECKING, Final, Literal

from moatbridge.changes import Receipt, Ref
from moatbridge_sql._columns import UNUSUAL, ids_of, refs_of
from moatbridge_sql._encode_columns import column_encoder
from moatbridge_sql._intents import column_encode
from moatbridge_sql._keys import raw_key
from moatbridge_sql._values import ValueFault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import tzinfo

    from moatbridge.changes import Intent, Key
    from moatbridge_sql._catalog import BoundStream
    from moatbridge_sql._columns import Values

FEWEST: Final = 2
"""A single intent is not worth a block."""
_record: Final = attrgetter("record")
_op: Final = attrgetter("op")
_told: Final = attrgetter("ref")

BlockOp = Literal["create", "upsert", "update"]


@dataclass(frozen=True, slots=True)
class Block:
    """Rows for one statement.

    Args:
        op: As `RowWrite.op`.
        match: Columns that identify a row.
        columns: Column -> driver-neutral values, ``match`` first; rows in key order.
    """

    op: BlockOp
    match: tuple[str, ...]
    columns: Mapping[str, Values]

    @property
    def count(self) -> int:
        """Rows."""
        return len(self.columns[self.match[0]])


@dataclass(frozen=True, slots=True)
class Blocks:
    """A batch as blocks, and the ref of each intent's row, in the batch's order."""

    blocks: Sequence[Block]
    refs: Sequence[Ref]

    def receipts(self, *, known: bool) -> list[Receipt]:
        """All applied, or all unknown."""
        if known:
            return [Receipt("applied", ref) for ref in self.refs]
        return [Receipt("unknown", ref, code="sql.commit-lost") for ref in self.refs]


class BlockMaker:
    """Turns a stream's intents into blocks; its encoders are made once.

    Args:
        bound: The stream.
        zone: Zone of date-times without one.
    """

    def __init__(self, bound: BoundStream, zone: tzinfo | None) -> None:
        self._known = {column.name for column in bound.table.columns}
        self._key_columns = bound.key_columns
        self._key = bound.selection.key
        self._natural = bound.natural
        self._create: BlockOp = "create" if bound.external_id is None else "upsert"
        self._ids = ids_of(bound.key_columns)
        self._encoders = {
            name: column_encoder(
                bound.seen(name),
                zone,
                column_encode(bound, name, zone),
                ruled=name in bound.rules,
            )
            for name in bound.writable
        }
        self.usable = (
            bound.selection.version is None
            and bound.table.transactional
            and not any(column.folded for column in bound.key_columns)
        )

    def blocks(self, intents: Sequence[Intent]) -> Blocks | None:
        """The whole batch, or None: take it row by row."""
        if not self.usable or len(intents) < FEWEST:
            return None
        if set(map(type, map(_record, intents))) != {dict}:  # deletes have none
            return None
        try:
            return self._blocks(intents)
        except UNUSUAL:
            return None

    def _blocks(self, intents: Sequence[Intent]) -> Blocks:
        blocks: list[Block] = []
        ids: list[Key] = []
        places: list[int] = []
        for shape, at in _shapes(intents).items():
            some = intents if len(at) == len(intents) else [intents[i] for i in at]
            block, own = self._block(*shape, some)
            blocks.append(block)
            places += at
            ids += own
        if len(set(ids)) != len(ids):
            raise ValueFault("twice")
        if len(blocks) > 1:
            ids = [key for _, key in sorted(zip(places, ids, strict=True))]
        return Blocks(blocks, _refs(intents, ids))

    def _block(
        self, op: str, names: tuple[str, ...], intents: Sequence[Intent]
    ) -> tuple[Block, Sequence[Key]]:
        columns: dict[str, Values] = {}
        given = zip(*map(dict.values, map(_record, intents)), strict=True)
        for name, values in zip(names, given, strict=True):
            encode = self._encoders.get(name)
            if encode is not None:
                columns[name] = encode(values)
            elif name not in self._known:
                raise ValueFault("unknown-field", name)
        if op == "create":
            return self._created(columns)
        if op == "update":
            return self._updated(columns, intents)
        raise ValueFault("row-by-row")

    def _created(self, columns: dict[str, Values]) -> tuple[Block, Sequence[Key]]:
        match = self._natural
        if set(match) != set(self._key):  # the key must be read back
            raise ValueFault("row-by-row")
        if not columns.keys() >= set(match):
            raise ValueFault("key-missing")
        ids = self._ids([columns[name] for name in self._key])
        first = {name: columns.pop(name) for name in match}
        return _ordered(self._create, match, {**first, **columns}, ids), ids

    def _updated(
        self, columns: dict[str, Values], intents: Sequence[Intent]
    ) -> tuple[Block, Sequence[Key]]:
        ids = [intent.ref.id for intent in intents if intent.ref is not None]
        if set(map(type, ids)) != {str if len(self._key) == 1 else tuple}:
            raise ValueFault("key")  # one row must not have two spellings
        first = dict(zip(self._key, self._raw(intents), strict=True))
        for index, name in enumerate(self._key):
            if name in columns:
                told = ids_of(self._key_columns[index : index + 1])
                if told([columns.pop(name)]) != told([first[name]]):
                    raise ValueFault("key")
        if not columns or len(ids) != len(intents):
            raise ValueFault("row-by-row")
        return _ordered("update", self._key, {**first, **columns}, ids), ids

    def _raw(self, intents: Sequence[Intent]) -> list[Values]:
        found = []
        for intent in intents:
            key = None if intent.ref is None else raw_key(self._key_columns, intent.ref)
            if key is None:
                raise ValueFault("key")
            found.append(key)
        return list(zip(*found, strict=True))


def _shapes(
    intents: Sequence[Intent],
) -> Mapping[tuple[str, tuple[str, ...]], Sequence[int]]:
    """Places of the intents by operation and columns; nearly always there is one."""
    ops = set(map(_op, intents))
    names = set(map(tuple, map(_record, intents)))
    if len(ops) == len(names) == 1:
        return {(ops.pop(), names.pop()): range(len(intents))}
    found: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for index, intent in enumerate(intents):
        shape = (intent.op, tuple(intent.record or ()))
        found.setdefault(shape, []).append(index)
    return found


def _refs(intents: Sequence[Intent], ids: Sequence[Key]) -> list[Ref]:
    """The intents' own refs; a row that is new is called by its key."""
    told = list(map(_told, intents))
    if any(told):
        return [ref or Ref(key) for ref, key in zip(told, ids, strict=True)]
    return refs_of(ids, repeat(None))


def _ordered(
    op: BlockOp, match: tuple[str, ...], columns: dict[str, Values], ids: Sequence[Key]
) -> Block:
    """Rows by key: writers that come at one time then wait instead of deadlocking."""
    if any(map(gt, ids, islice(ids, 1, None))):
        pick = itemgetter(*sorted(range(len(ids)), key=ids.__getitem__))
        columns = {name: pick(values) for name, values in columns.items()}
    return Block(op, match, columns)
