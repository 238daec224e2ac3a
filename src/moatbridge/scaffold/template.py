"""Templates: names to fill in, and lines that stand only where they apply. Pure.

* ``{{name}}`` is replaced; a name that nobody gave is an error.
* ``%% if scan|follow`` ... ``%% else`` ... ``%% end`` (each on a line of its own): the
  lines between stand only where one of these words holds. Blocks may be nested.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_HOLE: Final = re.compile(r"\{\{(\w+)\}\}")
_MARK: Final = "%% "


def filled(text: str, values: Mapping[str, str], holds: Collection[str]) -> str:
    """The text for these values and words.

    Args:
        text: The template.
        values: Name -> what stands in its place.
        holds: Words that hold.

    Raises:
        ValueError: The template is not well formed.
        KeyError: It names a value that is not there.
    """
    open_blocks: list[bool] = []
    kept: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.startswith(_MARK):
            _turn(open_blocks, line[len(_MARK) :].split(), holds)
        elif all(open_blocks):
            kept.append(_HOLE.sub(lambda found: values[found[1]], line))
    if open_blocks:
        msg = "a block of the template is not closed"
        raise ValueError(msg)
    return "".join(kept)


def _turn(open_blocks: list[bool], words: list[str], holds: Collection[str]) -> None:
    match words:
        case ["if", wanted]:
            open_blocks.append(any(word in holds for word in wanted.split("|")))
        case ["else"] if open_blocks:
            open_blocks[-1] = not open_blocks[-1]
        case ["end"] if open_blocks:
            open_blocks.pop()
        case _:
            msg = f"not a mark of a template: {' '.join(words)}"
            raise ValueError(msg)
