"""Following with ``changes`` of `StreamFunctions`: `make_adapter` builds it in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from moatbridge.adapter.abilities import CanFollow
from moatbridge.adapter.functions_class import FunctionAdapter
from moatbridge.changes import Absent, Batch, Change, Record, Ref, Reject
from moatbridge.errors import ConfigurationError, CursorTooOld, NotApplied, Rejected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.adapter.functions import StreamFunctions
    from moatbridge.changes import Cursor


class Following(FunctionAdapter, CanFollow):
    """With ``changes``, page by page; each page's position can be gone on from."""

    def changes(self, stream: str, after: Cursor | None) -> Iterator[Batch]:
        """See `CanFollow.changes`.

        A poll ends with a page that holds nothing, or does not move the position.

        Raises:
            CursorTooOld: ``NAME.cursor``: the function raised that, or a `Rejected` of
                kind ``gone`` for a position that it was given.
            NotApplied: ``NAME.position``: it returned none.
            ConfigurationError: ``adapter.functions``: it returned no pair of rows and
                position.
        """
        functions = self._of(stream)
        at = self.position(after, "at", str)
        more = True
        while more:
            rows, then = self._page(functions, at)
            told = [self._told(functions, *each) for each in enumerate(rows, 1)]
            changes = [each for each in told if isinstance(each, Change)]
            rejects = [each for each in told if isinstance(each, Reject)]
            more = bool(told) and then != at
            yield Batch(changes, {"at": then}, rejects, complete=not more)
            at = then

    def _page(
        self, functions: StreamFunctions[Any], at: str | None
    ) -> tuple[list[Any], str]:
        if functions.changes is None:
            msg = f"The stream {functions.name} does not tell what changed."
            raise Rejected(msg, code=f"{self.name}.unsupported")
        try:
            with self._reading():
                told = functions.changes(self._handle, at)
                page, then = _pair(functions, told)
                # "Now" has nothing before it, whatever a system sends along.
                rows = [] if at is None else list(_rows(functions, page))
        except Rejected as error:
            if error.kind != "gone" or at is None:
                raise
            msg = f"The position in {functions.name} is forgotten; it is read anew."
            raise CursorTooOld(msg, code=f"{self.name}.cursor") from None
        if isinstance(then, bool) or not isinstance(then, (str, int)) or then == "":
            msg = f"The system names no position for the changes of {functions.name}."
            raise NotApplied(msg, code=f"{self.name}.position")
        return rows, str(then)

    def _told(
        self, functions: StreamFunctions[Any], number: int, row: Any
    ) -> Change | Reject:
        """The change that an author's row is; thin where it is not the whole record."""
        if isinstance(row, Absent):
            return Change(Ref(str(row.ref.id)), "delete")
        fit = self._fit(functions, row, f"change {number}")
        if not isinstance(fit, Record):
            return fit
        return Change(fit.ref, data=None if fit.incomplete else fit.data)


def _pair(functions: StreamFunctions[Any], page: Any) -> tuple[Any, Any]:
    """Rows and position; a page that is no pair is a bug of the author's."""
    if not isinstance(page, (tuple, list)) or len(page) != 2:  # noqa: PLR2004 - a pair
        raise _no_page(functions, f"it returned {type(page).__name__}")
    return page[0], page[1]


def _rows(functions: StreamFunctions[Any], rows: Any) -> Iterable[Any]:
    if isinstance(rows, (str, bytes, Mapping)) or not isinstance(rows, Iterable):
        raise _no_page(functions, f"the first was {type(rows).__name__}")
    return rows


def _no_page(functions: StreamFunctions[Any], what: str) -> ConfigurationError:
    return ConfigurationError(
        f"`changes` of {functions.name} must return a pair: what changed (any iterable "
        f"of rows), and the position after it; {what}.",
        code="adapter.functions",
    )
