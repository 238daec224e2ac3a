"""One poll of a stream's feed: rows by (cursor, key) from a while before the newest.

Every row from the start on is delivered; where the next poll starts is decided at the
end, from the newest value that is not from the future (specification: sql 23-25).
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from moatbridge.changes import Batch, Reject
from moatbridge_sql._cursors import PollCursor, before, is_future, later
from moatbridge_sql._database import PagePlan
from moatbridge_sql._rows import to_change
from moatbridge_sql._values import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moatbridge.changes import Change
    from moatbridge_sql._catalog import BoundStream
    from moatbridge_sql._database import Database, Page
    from moatbridge_sql._rows import Decoded, RowReader


def poll(
    database: Database,
    reader: RowReader,
    bound: BoundStream,
    cursor: PollCursor,
    limit: int,
) -> Iterator[Batch]:
    """Yield the poll's batches; the last one's cursor is the next poll's start."""
    horizon = database.horizon(bound.selection)
    newest = cursor.newest
    plan = PagePlan(
        bound.selection,
        limit,
        after=cursor.key,
        poll=True,
        cursor_from=cursor.start,
        cursor_after=cursor.text,
    )
    for number, page in enumerate(database.pages(plan), 1):
        good, bad = reader.rows(page.rows, f"poll page {number}", marked=page.marked)
        newest = _newest(page, newest, horizon)
        ahead = takewhile(lambda row: _ahead(row, horizon), reversed(good))
        bad += [_from_the_future(row, bound) for row in ahead]
        if page.last:
            start = before(newest, bound.config.overlap)
            at = PollCursor(later(start, cursor.start), newest)
        else:
            at = PollCursor(cursor.start, newest, page.cursor_after, page.after)
        yield Batch(_last_of_each(good), at.pack(), bad, complete=page.last)


def _newest(page: Page, newest: str | None, horizon: str | None) -> str | None:
    """The database ordered the rows: the last one that is not ahead is the newest."""
    for row in reversed(page.rows):
        text = text_of(row[-1])
        if not is_future(text, horizon):
            return later(newest, text)
    return newest


def _ahead(row: Decoded, horizon: str | None) -> bool:
    return row.cursor is not None and is_future(text_of(row.cursor), horizon)


def _from_the_future(row: Decoded, bound: BoundStream) -> Reject:
    """The row itself was delivered; this only reports its clock."""
    return Reject("sql.future-cursor", "poll", row.ref, bound.selection.cursor)


def _last_of_each(rows: Sequence[Decoded]) -> list[Change]:
    return list({row.ref.key: to_change(row) for row in rows}.values())
