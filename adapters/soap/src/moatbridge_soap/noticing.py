"""What a service does otherwise than its WSDL says, for `Adapter.notices` (soap 40)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_WORDS: Final = {
    "unknown": "elements that it does not know and that are not read",
    "missing": "without elements that it requires",
    "order": "elements in another order",
    "namespace": "elements in another namespace",
    "empty": "empty elements whose type allows no empty value",
}
"""Kinds of deviation a person can do something about."""

_SHOWN: Final = 5


class Deviations:
    """Says each tolerated deviation once for a connection. One thread at a time."""

    def __init__(self) -> None:
        self._stream = ""
        self._counted: dict[str, int] = {}
        self._found: dict[str, dict[str, None]] = {}

    def turn_to(self, stream: str, tolerated: Mapping[str, int]) -> None:
        """From now on another stream is worked with.

        Args:
            stream: Its local name.
            tolerated: ``kind:element`` -> how often, since the connection was made.
        """
        self._note(tolerated)
        self._stream = stream

    def news(self, tolerated: Mapping[str, int], stream: str | None) -> list[str]:
        """Sentences about what was counted since this was asked last.

        Args:
            tolerated: As `turn_to`.
            stream: Of this stream alone; None for all.
        """
        self._note(tolerated)
        asked = [name for name in self._found if stream in {None, name}]
        return [s for name in asked for s in _sentences(name, self._found.pop(name))]

    def _note(self, tolerated: Mapping[str, int]) -> None:
        """Whatever was counted belongs to the stream that is worked with."""
        new = [name for name, n in tolerated.items() if n > self._counted.get(name, 0)]
        if new:
            self._found.setdefault(self._stream, {}).update(dict.fromkeys(new))
        self._counted = dict(tolerated)


def _sentences(stream: str, found: Iterable[str]) -> Iterator[str]:
    kinds: dict[str, list[str]] = defaultdict(list)
    for key in found:
        kind, _, element = key.partition(":")
        kinds[kind].append(element)
    for kind, words in _WORDS.items():
        if elements := sorted(kinds.get(kind, ())):
            more = ", ..." if len(elements) > _SHOWN else ""
            yield (
                f"{stream}: answers deviate from the WSDL and were taken all "
                f"the same ({words}: {', '.join(elements[:_SHOWN])}{more}); "
                'tolerance = "strict" refuses such records.'
            )
