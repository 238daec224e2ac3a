"""A batch of intents to one stream: as blocks where that can be, else row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moatbridge_sql._blocks import BlockMaker
from moatbridge_sql._database import RowWrite, Target
from moatbridge_sql._intents import RowMaker, receipt_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from moatbridge.changes import Intent, Receipt
    from moatbridge_sql._catalog import BoundStream
    from moatbridge_sql._database import Database


class StreamWriter:
    """Writes one stream; made once per connection.

    Args:
        bound: The stream.
        zone: Zone of date-times without one.
        columnwise: Write blocks where nothing in a batch is unusual.
    """

    def __init__(
        self, bound: BoundStream, zone: tzinfo | None, *, columnwise: bool
    ) -> None:
        self._bound = bound
        selection = bound.selection
        self._target = Target(bound.table, selection.key, selection.version)
        self._rows = RowMaker(bound, zone)
        self._blocks = BlockMaker(bound, zone) if columnwise else None

    def write(self, database: Database, intents: Sequence[Intent]) -> Sequence[Receipt]:
        """One transaction; a receipt for each intent, in order."""
        return self._by_block(database, intents) or self._by_row(database, intents)

    def _by_block(
        self, database: Database, intents: Sequence[Intent]
    ) -> Sequence[Receipt] | None:
        """None: nothing took effect, and the batch must go row by row."""
        batch = self._blocks.blocks(intents) if self._blocks else None
        if batch is None:
            return None
        done = database.write_blocks(self._target, batch.blocks)
        return None if done is None else batch.receipts(known=done == "applied")

    def _by_row(
        self, database: Database, intents: Sequence[Intent]
    ) -> Sequence[Receipt]:
        todo = list(map(self._rows.row, intents))
        rows = [row for row in todo if isinstance(row, RowWrite)]
        done = iter(database.write(self._target, rows) if rows else ())
        return [
            (
                receipt_of(intent, row, next(done), self._bound)
                if isinstance(row, RowWrite)
                else row
            )
            for intent, row in zip(intents, todo, strict=True)
        ]
