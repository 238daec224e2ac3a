"""Plain values as TOML 1.0 text: pure. None is left out, as TOML has no null."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_SHORT: Final = 0xFFFF
_SURROGATES: Final = range(0xD800, 0xE000)


def key(*names: str) -> str:
    """A dotted key: ``streams."hr/people".table``."""
    return ".".join(n if _BARE.fullmatch(n) else _text(n) for n in names)


def value(plain: Any) -> str:
    """One value on one line.

    Raises:
        TypeError: Not a plain value (text, number, truth, list, table).
    """
    if isinstance(plain, bool):
        return "true" if plain else "false"
    if isinstance(plain, (int, float)):
        return repr(plain)
    if isinstance(plain, str):
        return _text(plain)
    if isinstance(plain, dict):
        parts = (
            f"{key(str(n))} = {value(v)}" for n, v in plain.items() if v is not None
        )
        inner = ", ".join(parts)
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(plain, (list, tuple)):
        return "[" + ", ".join(value(each) for each in plain if each is not None) + "]"
    raise TypeError(f"TOML cannot hold a {type(plain).__name__}")


def document(table: Mapping[str, Any]) -> Iterator[str]:
    """A whole file: plain values first, then one section for each table of tables."""
    yield from _section((), table)


def _section(path: tuple[str, ...], table: Mapping[str, Any]) -> Iterator[str]:
    depth = 2 if path and path[0] in {"systems", "streams", "flows"} else 1
    deeper = {
        n: v for n, v in table.items() if isinstance(v, dict) and len(path) < depth
    }
    rows = {n: v for n, v in table.items() if n not in deeper and v is not None}
    if path and (rows or not deeper):
        yield from ("", f"[{key(*path)}]")
    for name, plain in rows.items():
        yield f"{key(name)} = {value(plain)}"
    for name, inner in deeper.items():
        yield from _section((*path, name), inner)


def _text(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else _escape(c) for c in quoted)


def _escape(character: str) -> str:
    number = ord(character)
    if number in _SURROGATES:  # TOML holds whole characters only
        return "\ufffd"
    return f"\\u{number:04x}" if number <= _SHORT else f"\\U{number:08x}"
