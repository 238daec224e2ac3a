"""Chunks of a format cut into pages, each with the place where the next begins. Pure.

A format knows its place after each chunk only. Inside a chunk the place is that of its
start, with the number of the last record that is out already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from moatbridge_sftp.pickup.cursor import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moatbridge_sftp.formats.base import Bad, Chunk

T = TypeVar("T")


class Page(NamedTuple):
    """Some records, and the place after them.

    Args:
        rows: Record number and record.
        bad: What could not be decoded.
        place: Where the next page begins.
    """

    rows: list[tuple[int, dict[str, Any]]]
    bad: list[Bad]
    place: Place


def pages(chunks: Iterable[Chunk], start: Place, size: int) -> Iterator[Page]:
    """Cut chunks into pages of at most ``size`` records.

    Args:
        chunks: From the position of ``start`` on.
        start: Where reading begins.
        size: Most records of a page.
    """
    record, offset, after = start.record, start.offset, start.after
    for chunk in chunks:
        numbered = zip(chunk.numbers, chunk.records, strict=True)
        rows = [row for row in numbered if row[0] > after]
        bad = [one for one in chunk.bad if one.number > after]
        while len(rows) > size:
            head, rows = rows[:size], rows[size:]
            upto = head[-1][0]
            now = [one for one in bad if one.number <= upto]
            bad = [one for one in bad if one.number > upto]
            yield Page(head, now, Place(start.part, record, offset, upto))
        record, offset = chunk.position.record, chunk.position.offset
        if rows or bad:
            yield Page(rows, bad, Place(start.part, record, offset))


def with_last(items: Iterable[T]) -> Iterator[tuple[T, bool]]:
    """Each item, and whether it is the last one."""
    held: list[T] = []
    for item in items:
        if held:
            yield held.pop(), False
        held.append(item)
    for item in held:
        yield item, True
