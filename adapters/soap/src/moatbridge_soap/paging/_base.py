"""What all paging engines share: facts about a page, the loop guard, the base class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import ConfigurationError, CursorTooOld, NotApplied, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moatbridge_soap.config.operations import PageConfig

_BOUND: Final = 100_000


@dataclass(slots=True)
class PageFacts:
    """What one page held.

    Args:
        count: Items, rejected ones included.
        first: Digest of the first item's key.
        last: Digest of the last item's key.
        values: Of the field that ``by`` names: the last item's value.
        text: Lexical text at a message path of the answer.
    """

    count: int = 0
    first: str = ""
    last: str = ""
    by: Any = None
    text: Callable[[str], str | None] = field(default=lambda _: None)


class Pager(ABC):
    """One pass over pages. Not shared between passes."""

    follows_on = False
    """The next page is another operation's (``more``)."""
    holds = False
    """A page's items are to be held until it is known to be whole (``window``)."""

    def __init__(self, config: PageConfig, where: str) -> None:
        self.config = config
        self.where = where
        self.complete = True
        self.received = 0
        self._guard = LoopGuard(where)

    @abstractmethod
    def values(self) -> Mapping[str, Any]:
        """Placeholders of the next request."""

    @abstractmethod
    def turn(self, page: PageFacts) -> bool:
        """Take note of a page; True if another one follows."""

    def absent(self) -> bool:
        """A rule says of a page's answer that there is nothing; as `turn`."""
        return False

    def state(self) -> Any:
        """JSON from which `resume` goes on with the next page."""
        return None

    def resume(self, state: Any) -> None:
        """Go on from a state.

        Raises:
            CursorTooOld: ``soap.cursor``: it is not one of ours.
        """
        del state
        raise foreign(self.where)

    def _note(self, page: PageFacts, token: Any = None) -> None:
        self.received += page.count
        self._guard.check(page, token)

    def _total(self, page: PageFacts) -> int | None:
        if self.config.total is None:
            return None
        text = (page.text(self.config.total) or "").strip()
        if not text.isdecimal() or len(text) > len(str(_BOUND**3)):
            raise NotApplied(
                f"{self.where}: the answer's total is missing or no number.",
                code="soap.value",
            )
        return int(text)


class LoopGuard:
    """Ends a pass that goes round in circles."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._tokens: set[int] = set()
        self._before: tuple[str, str, int] | None = None
        self._pages = 0

    def check(self, page: PageFacts, token: Any) -> None:
        """Note one page and the token of the next.

        Raises:
            Rejected: ``soap.paging-loop``.
        """
        self._pages += 1
        seen = (page.first, page.last, page.count)
        again = page.count > 0 and seen == self._before
        self._before = seen
        if token is not None:
            known = len(self._tokens)
            self._tokens.add(hash(token))
            again = again or len(self._tokens) == known
        if again or self._pages > _BOUND:
            raise Rejected(
                f"{self._where}: the pages go round in a circle after {self._pages} "
                "pages; nothing after them is read. Check page and the service.",
                code="soap.paging-loop",
            )


def capped(where: str, words: str) -> ConfigurationError:
    """Rows were cut off."""
    message = f"{where}: {words}. Ask for less at once (page.size, or page windows)."
    return ConfigurationError(message, code="soap.cap")


def foreign(where: str) -> CursorTooOld:
    """A position that this configuration never gave out."""
    message = f"{where}: the position is not one of this configuration; scan again."
    return CursorTooOld(message, code="soap.cursor", reason="other-query")
