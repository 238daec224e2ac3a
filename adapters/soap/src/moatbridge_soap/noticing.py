"""What a service does otherwise than its WSDL says, for `Adapter.notices` (soap 40)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
        self.stream = ""
        self._said: dict[str, int] = {}

    def news(self, tolerated: Mapping[str, int]) -> list[str]:
        """Sentences about what was counted since this was asked last.

        Args:
            tolerated: ``kind:element`` -> how often, since the connection was made.
        """
        found = [name for name, n in tolerated.items() if n > self._said.get(name, 0)]
        self._said = dict(tolerated)
        return list(self._sentences(found))

    def _sentences(self, found: list[str]) -> Iterator[str]:
        kinds: dict[str, list[str]] = defaultdict(list)
        for key in found:
            kind, _, element = key.partition(":")
            kinds[kind].append(element)
        for kind, words in _WORDS.items():
            if elements := sorted(kinds.get(kind, ())):
                more = ", ..." if len(elements) > _SHOWN else ""
                yield (
                    f"{self.stream}: answers deviate from the WSDL and were taken all "
                    f"the same ({words}: {', '.join(elements[:_SHOWN])}{more}); "
                    'tolerance = "strict" refuses such records.'
                )
