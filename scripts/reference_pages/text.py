"""Docstrings and tables as Markdown: pure."""

from __future__ import annotations

import inspect
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HEAD = "<!-- Written by scripts/reference.py; do not edit. -->\n"
_SECTION = re.compile(r"^(Args|Returns|Raises|Yields|Class attributes):$")
_ARGUMENT = re.compile(r"^    (\w+): (.*)$")
_LITERAL = re.compile(r"``(.+?)``", re.DOTALL)
CITED = re.compile(
    r" \((?:delivery|design|entities|gateway|guard|ldap|platforms|scale|security|sftp"
    r"|soap|sql)[ \d,.-]+\)",
    re.IGNORECASE,
)
"""Citations of the design documents, which readers of the reference do not have."""
_NAME = re.compile(r"(?<!`)`~?([\w.]+)`(?!`)")


def meanings(section: str) -> dict[str, str]:
    """One table of `meanings.toml`."""
    return _meanings()[section]


@cache
def _meanings() -> dict[str, dict[str, str]]:
    file = Path(__file__).parents[1] / "meanings.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


def markdown(text: str) -> str:
    """Docstring markup (two backticks, and one for names) as Markdown, on one line."""
    plain = CITED.sub("", " ".join(text.split()))
    return _NAME.sub(r"`\1`", _LITERAL.sub(r"`\1`", plain))


def summary(thing: Any) -> str:
    """The first paragraph of a docstring."""
    return markdown((inspect.getdoc(thing) or "").split("\n\n")[0])


def description(thing: Any) -> str:
    """A docstring up to its first section, as paragraphs."""
    lines: list[str] = []
    for line in (inspect.getdoc(thing) or "").splitlines():
        if _SECTION.match(line):
            break
        lines.append(line)
    parts = "\n".join(lines).strip().split("\n\n")
    return "\n\n".join(markdown(part) for part in parts)


def arguments(thing: Any) -> dict[str, str]:
    """The section ``Args`` of a docstring: name -> meaning."""
    found: dict[str, str] = {}
    name, inside = "", False
    for line in (inspect.getdoc(thing) or "").splitlines():
        if section := _SECTION.match(line):
            inside = section[1] == "Args"
        elif inside and (start := _ARGUMENT.match(line)):
            name = start[1]
            found[name] = start[2]
        elif inside and name and line.startswith("        "):
            found[name] += " " + line.strip()
    return {name: markdown(text) for name, text in found.items()}


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table; a bar inside a cell is escaped."""
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for row in rows:
        cells = (cell.replace("|", "\\|") for cell in row)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def document(title: str, *parts: str) -> str:
    """A whole page."""
    return "\n".join([HEAD + f"# {title}", "", *parts]).rstrip("\n") + "\n"
