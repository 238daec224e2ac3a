"""State diagrams as tables.

A drawing would need a library of 3 MB from elsewhere, and one with forty arrows is
easier to look things up in as a table. The code host draws the same block.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK: Final = re.compile(r"^```mermaid\n(.*?)^```\n", re.DOTALL | re.MULTILINE)
_MOVE: Final = re.compile(r"\s*(\S+) --> (\S+?)(?:: (.*))?")
_END: Final = "[*]"


def as_tables(text: str) -> str:
    """Markdown in which each state diagram is a table; other drawings stay code."""
    return _BLOCK.sub(lambda block: _table(block[1]), text)


def _table(drawing: str) -> str:
    kind, *lines = drawing.splitlines()
    moves = [_MOVE.fullmatch(line) for line in lines if line.strip()]
    if not kind.startswith("stateDiagram") or None in moves:
        return f"```text\n{drawing}```\n"
    rows = "\n".join(_rows([move.groups() for move in moves if move]))
    return f"\n| from | to | when |\n|---|---|---|\n{rows}\n\n"


def _rows(moves: list[tuple[str | None, ...]]) -> Iterator[str]:
    before = None
    for start, end, why in moves:
        shown = "" if start == before else _state(start, "start")
        yield f"| {shown} | {_state(end, 'end')} | {why or ''} |"
        before = start


def _state(name: str | None, edge: str) -> str:
    return f"*{edge}*" if name == _END else f"`{name}`"
