"""Reading a sorted list by place (offset and limit) while it moves.

Places are no identities: when somebody leaves, everybody behind moves up by one, and
who reads on at the old place leaves one out without seeing it. So each page begins with
the row that was last read: if that is not where it was, its place is searched for by
its key (in about as many requests as the count of rows has bits).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from moatbridge.errors import ConfigurationError, NotApplied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

R = TypeVar("R")


def by_place(
    page: Callable[[int, int], Sequence[R]],
    key: Callable[[R], str],
    after: str | None = None,
    *,
    size: int = 100,
    order: Callable[[str], Any] = str,
) -> Iterator[R]:
    """Yield every row behind a key, in the order of keys: a ``read_after`` for lists.

    Who is there during the whole pass is read exactly once, whoever comes or goes
    meanwhile. A page may be shorter than was asked for (a limit of the system); only
    one without any new row is the end.

    Args:
        page: The rows from that place (counted from 0) on, at most so many.
        key: The key of a row; each has another one.
        after: Where to go on; None begins at the start.
        size: Rows to ask for at once: the configuration's ``page_size``
            (``size=api.page_size``), never a constant, because what is read ahead
            stays in memory. Where the system refuses more than so many, that is the
            setting's upper bound (see `PageSize`). A size of 1 asks for two.
        order: What the system sorts keys by: ``str`` (by characters) or ``int``.

    Raises:
        ConfigurationError: ``adapter.order``: the list is not sorted like that.
        NotApplied: ``adapter.moved``: the system gives one row at a time, or rows came
            while the end was looked at. The pass goes on from its last position.
    """
    walk = _Walk(page, key, size, order)
    if after is None:
        yield from walk.rows(0, None)
        return
    last = order(after)
    start = walk.first(last, 0)
    if start and walk.order(page(start - 1, 1)) == [last]:
        yield from walk.rows(start, last)
        return
    # It is gone, or the list is not sorted: a search can be misled by that, reading
    # everything cannot.
    for row in walk.rows(0, None):
        if order(key(row)) > last:
            yield row


class _Walk(Generic[R]):
    """One pass over a list; the arguments are those of `by_place`."""

    def __init__(
        self,
        page: Callable[[int, int], Sequence[R]],
        key: Callable[[R], str],
        size: int,
        order: Callable[[str], Any],
    ) -> None:
        self._page = page
        self._key = key
        self._size = max(size, 2)
        self._order = order

    def rows(self, start: int, last: Any) -> Iterator[R]:
        """The rows behind ``last``, which stands before the place ``start``."""
        while True:
            known = min(start, 1)
            rows = self._page(start - known, self._size)
            found = self.order(rows)
            if sum(last is not None and each <= last for each in found) != known:
                start = self.first(last, start)
            elif len(rows) > known:
                yield from rows[known:]
                last, start = found[-1], start + len(rows) - known
            else:
                break
        if start and self._page(start, 1):
            words = "Rows came while the end of a list was looked at; it is read again."
            raise NotApplied(words, code="adapter.moved")

    def order(self, rows: Sequence[R]) -> list[Any]:
        """What the rows are sorted by."""
        found = [self._order(self._key(row)) for row in rows]
        if any(not one < other for one, other in pairwise(found)):
            words = "A list that is read by place is not sorted by its key."
            raise ConfigurationError(words, code="adapter.order")
        return found

    def first(self, last: Any, near: int) -> int:
        """The first place behind ``last``: from ``near`` on in growing steps."""

        def before(place: int) -> bool:
            return any(each <= last for each in self.order(self._page(place, 1)))

        low = high = near
        step = 1
        while low and not before(low - 1):
            low, high, step = max(0, low - step), low - 1, step * 2
        while before(high):
            low, high, step = high + 1, high + step, step * 2
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if before(middle) else (low, middle)
        return low
