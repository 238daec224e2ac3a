"""All problems of a translator at once, each with its key and a suggestion."""

from __future__ import annotations

from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING

from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def closest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'givenName'?`` or nothing (case first, then difflib 0.75)."""
    names = list(known)
    folded = name.casefold()
    for each in names:
        if each.casefold() == folded:
            return f"; did you mean {each!r}?"
    close = get_close_matches(name, names, 1, 0.75)
    return f"; did you mean {close[0]!r}?" if close else ""


class Problems:
    """Collects problems until `stop` raises them together.

    Args:
        where: What all of them are about (``translator of hr/people``).
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self.found: list[str] = []

    def add(self, key: str, message: str) -> None:
        """Note one problem of the setting ``key``."""
        self.found.append(f"{key}: {message}")

    @contextmanager
    def at(self, key: str) -> Iterator[None]:
        """Turn a `ConfigurationError` raised inside into a problem of ``key``."""
        try:
            yield
        except ConfigurationError as error:
            self.add(key, error.message)

    def stop(self, stream: str | None = None) -> None:
        """Raise if there is any problem.

        Raises:
            ConfigurationError: ``translate.invalid``; ``details["problems"]`` holds
                the list.
        """
        if not self.found:
            return
        head = f"The {self._where} has {len(self.found)} problem(s):"
        message = "\n  - ".join([head, *self.found])
        raise ConfigurationError(
            message, code="translate.invalid", stream=stream, problems=self.found
        )
