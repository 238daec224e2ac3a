"""The fenced blocks of a Markdown page, and the marker that says how each is tested.

A marker is a comment on the line above its block: ``<!-- test: run -->``. Words and
``name=value`` options; what they mean is in `docs.sandbox`. A comment
``<!-- test-page: ports=3890,8090 -->`` holds for the whole page (other ports are taken
instead; ``folder=/srv/x`` stands for the page's own folder, ``copy=`` and ``tree=`` name
what lies in it), and ``<!-- test-run: COMMAND -->`` is a command that readers need not
see.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLAIN = frozenset({"text", "mermaid"})
"""Languages of blocks that are only looked at."""

_MARKER = re.compile(r"<!-- test: (.*?) -->")
_PAGE = re.compile(r"<!-- test-page: (.*?) -->")
_HIDDEN = re.compile(r"<!-- test-run: (.*?) -->")
_FENCE = re.compile(r"(?P<indent> *)(?P<ticks>`{3,})(?P<language>[\w-]*) *")


@dataclass(frozen=True, slots=True)
class Block:
    line: int
    language: str
    text: str
    options: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Page:
    path: Path
    blocks: list[Block]
    options: dict[str, str] = field(default_factory=dict)

    @property
    def unmarked(self) -> list[str]:
        return [
            f"{self.path.name}:{block.line} ({block.language or 'no language'})"
            for block in self.blocks
            if block.options is None and block.language not in PLAIN
        ]


def read(path: Path) -> Page:
    text = path.read_text(encoding="utf-8")
    found = _PAGE.search(text)
    return Page(path, list(blocks(text)), options(found[1]) if found else {})


def blocks(text: str) -> Iterator[Block]:
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        fence = _FENCE.fullmatch(lines[number])
        if fence is None:
            if hidden := _HIDDEN.fullmatch(lines[number]):
                yield Block(number + 1, "console", f"$ {hidden[1]}\n", {"run": ""})
            number += 1
            continue
        start = number
        number += 1
        while number < len(lines) and lines[number].strip() != fence["ticks"]:
            number += 1
        indent = len(fence["indent"])
        body = "".join(f"{line[indent:]}\n" for line in lines[start + 1 : number])
        yield Block(start + 1, fence["language"], body, _above(lines, start))
        number += 1


def options(text: str) -> dict[str, str]:
    pairs = (word.partition("=") for word in text.split())
    return {name: value for name, _, value in pairs}


def _above(lines: list[str], start: int) -> dict[str, str] | None:
    for line in reversed(lines[:start]):
        if line.strip():
            found = _MARKER.fullmatch(line.strip())
            return options(found[1]) if found else None
    return None
