"""A complete pass over a stream (soap 53-59)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from moatbridge.adapter import Partition
from moatbridge.changes import Batch, Change
from moatbridge_soap.pages import Pages, Piece, state_of
from moatbridge_soap.paging import foreign, pager_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moatbridge.changes import Reject
    from moatbridge_soap.call import Caller
    from moatbridge_soap.streams import CompiledStream


def split(stream: CompiledStream, wanted: int) -> list[Partition]:
    """Partitions by the values of ``list.split``, at most ``wanted`` of them."""
    config = stream.config.list
    if config is None or config.split is None:
        return [Partition()]
    values = config.split.values
    count = max(1, min(wanted, len(values)))
    groups = [list(values[n::count]) for n in range(count)]
    return [
        Partition("all" if count == 1 else _name(group), {"split": group})
        for group in groups
    ]


class Scan:
    """One scan of one partition.

    Args:
        caller: The connection.
        stream: The stream.
        partition: One of `split`.
        upper: Asked for the end of the last window: the server's time.
    """

    def __init__(
        self,
        caller: Caller,
        stream: CompiledStream,
        partition: Partition,
        upper: Callable[[], Any],
    ) -> None:
        stream.operation("list")
        config = stream.config.list
        assert config is not None  # noqa: S101 - the operation is there
        self._caller = caller
        self._stream = stream
        self._page = config.page
        self._where = f"{stream.name}.list"
        self._upper = upper
        self._complete = True
        self._values: list[Any] = [None]
        if config.split is not None:
            spec = partition.spec if isinstance(partition.spec, dict) else {}
            self._values = list(spec.get("split") or config.split.values)

    def batches(self, after: Any | None) -> Iterator[Batch]:
        """Yield the partition from a position on; see `CanScan.scan`."""
        first, state, count = self._start(after)
        cursor = after
        last = len(self._values) - 1
        final: Batch | None = None
        for index in range(first, last + 1):
            pages = self._pages(index, state if index == first else None)
            for piece in pages:
                count += len(piece.items)
                ends = piece.ends_pass and index == last
                if piece.ends_page and not ends:
                    cursor = self._cursor(pages, piece, index, count)
                batch = self._batch(pages, piece, cursor)
                if ends:  # only what follows tells whether the pass was complete
                    final = batch
                else:
                    yield batch
            self._complete = self._complete and pages.pager.complete
        if final is not None:
            yield replace(final, complete=self._complete)

    def _pages(self, index: int, state: Any) -> Pages:
        pager = pager_for(self._page, self._where, self._upper)
        if state is not None:
            pager.resume(state)
        value = self._values[index]
        values = {} if value is None else {"split": value}
        return Pages(self._caller, self._stream, "list", pager, values)

    def _start(self, after: Any | None) -> tuple[int, Any, int]:
        if after is None:
            return 0, None, 0
        state = state_of(after, "list", self._where)
        index, count = state.get("split", 0), state.get("n", 0)
        if not isinstance(index, int) or not 0 <= index < len(self._values):
            raise foreign(self._where)
        self._complete = state.get("complete", True) is True
        return index, state.get("page"), count if isinstance(count, int) else 0

    def _cursor(self, pages: Pages, piece: Piece, index: int, count: int) -> Any:
        """The position after a page; None while the pass can only start again."""
        if piece.ends_pass:
            index, page = index + 1, None
        elif self._page.resumes:
            page = pages.pager.state()
        elif index == 0:
            return None
        else:
            page = None
        complete = self._complete and (pages.pager.complete or not piece.ends_pass)
        return {
            "op": "list",
            "split": index,
            "page": page,
            "n": count if page is not None or piece.ends_pass else 0,
            "complete": complete,
        }

    def _batch(self, pages: Pages, piece: Piece, cursor: Any) -> Batch:
        changes: list[Change] = []
        rejects: list[Reject] = []
        records, operation = self._stream.records, pages.operation
        for item in piece.items:
            if item.reject is None and not records.belongs(item.record):
                continue
            found = records.change(item, operation, thin=False)
            if isinstance(found, Change):
                changes.append(found)
            else:
                rejects.append(found)
        return Batch(changes, cursor, rejects)


def _name(group: list[Any]) -> str:
    return ",".join(map(str, group))[:200]
