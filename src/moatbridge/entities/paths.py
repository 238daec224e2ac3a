"""Paths into entities and records: ``emails[type=work].value`` (entities 32-33).

    path     = segment *("." segment)          at most 8 segments, 512 characters
    segment  = name [selector]
    name     = bare / quoted                   bare: letters, digits, _ - $ ;
    selector = "[]" / "[" name "=" name "]"    records also "[0]"

A bare dot always nests; a field literally called ``a.b`` is written ``"a.b"`` with
its quotes, as a JSON string. LDAP options (``cn;lang-de``) belong to the name.
"""

from __future__ import annotations

import json
import re
from typing import Final, NamedTuple, TypeAlias

from moatbridge.errors import ConfigurationError

MAX_SEGMENTS: Final = 8
MAX_LENGTH: Final = 512

_BARE: Final = re.compile(r"[\w\-$;]+")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_DIGITS: Final = re.compile(r"[0-9]{1,6}")


class Slot(NamedTuple):
    """``[type=work]``: the one entry whose member ``name`` has that value."""

    name: str
    value: str


class Every(NamedTuple):
    """``[]``: the whole list, the same as no selector; it only says so aloud."""


Selector: TypeAlias = Slot | Every | int | None


class Segment(NamedTuple):
    """One step of a path: a member, and perhaps which entry of its list."""

    name: str
    selector: Selector = None


Path: TypeAlias = tuple[Segment, ...]


def parse(text: str, *, record: bool = False) -> Path:
    """Read a path.

    Args:
        text: At most 512 characters.
        record: Allow ``[0]``, which only record paths may use.

    Raises:
        ConfigurationError: ``path.syntax``, with the position and the reason.
    """
    if len(text) > MAX_LENGTH:
        message = (
            f"A path has {len(text)} characters; at most {MAX_LENGTH} are allowed."
        )
        raise ConfigurationError(message, code="path.syntax")
    segments: list[Segment] = []
    position = 0
    while True:
        segment, position = _segment(text, position, record=record)
        segments.append(segment)
        if len(segments) > MAX_SEGMENTS:
            raise _wrong(text, position, f"more than {MAX_SEGMENTS} segments")
        if position == len(text):
            return tuple(segments)
        if text[position] != ".":
            raise _wrong(
                text, position, "expected '.'; quote names with odd characters"
            )
        position += 1


def show(path: Path) -> str:
    """The path as text; ``parse`` of it gives the same path."""
    return ".".join(quote(each.name) + _selector(each.selector) for each in path)


def quote(name: str) -> str:
    """A name as it stands in a path: bare if it can be, else quoted."""
    if _BARE.fullmatch(name):
        return name
    return json.dumps(name, ensure_ascii=not name.isprintable())


def _selector(selector: Selector) -> str:
    if selector is None:
        return ""
    if isinstance(selector, int):
        return f"[{selector}]"
    if isinstance(selector, Slot):
        return f"[{quote(selector.name)}={quote(selector.value)}]"
    return "[]"


def _segment(text: str, position: int, *, record: bool) -> tuple[Segment, int]:
    name, position = _name(text, position)
    if not text.startswith("[", position):
        return Segment(name), position
    if text.startswith("[]", position):
        return Segment(name, Every()), position + 2
    index = _DIGITS.match(text, position + 1) if record else None
    if index and text.startswith("]", index.end()):
        return Segment(name, int(index[0])), index.end() + 1
    key, position = _name(text, position + 1)
    if not text.startswith("=", position):
        raise _wrong(text, position, "expected '=' in a selector")
    value, position = _name(text, position + 1)
    if not text.startswith("]", position):
        raise _wrong(text, position, "expected ']'")
    return Segment(name, Slot(key, value)), position + 1


def _name(text: str, position: int) -> tuple[str, int]:
    if bare := _BARE.match(text, position):
        return bare[0], bare.end()
    quoted = _QUOTED.match(text, position)
    if quoted is None:
        raise _wrong(text, position, "expected a name")
    try:
        name = json.loads(quoted[0])
    except ValueError:
        name = ""
    if not name:
        raise _wrong(text, position, "not a JSON string with something in it")
    return str(name), quoted.end()


def _wrong(text: str, position: int, reason: str) -> ConfigurationError:
    shown = json.dumps(text if len(text) <= 80 else text[:77] + "...")  # noqa: PLR2004 - a line
    message = f"Path {shown} is wrong at character {position + 1}: {reason}."
    return ConfigurationError(message, code="path.syntax")
