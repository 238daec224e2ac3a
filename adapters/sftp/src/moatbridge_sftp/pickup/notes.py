"""What a person should know about the files of a stream: sentences for `notices`."""

from __future__ import annotations

from typing import Final

_MOST: Final = 20


class Notes:
    """Sentences about one stream, each once, the last ones. One thread at a time.

    Args:
        stream: Local name of the stream.
    """

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._said: dict[str, None] = {}

    def say(self, words: str) -> None:
        """Keep a sentence: no values, no full stop at its end."""
        said = f"{self._stream}: {words}."
        self._said.pop(said, None)
        self._said[said] = None
        while len(self._said) > _MOST:
            del self._said[next(iter(self._said))]

    def take(self) -> list[str]:
        """Everything said since this was called last."""
        said, self._said = list(self._said), {}
        return said
