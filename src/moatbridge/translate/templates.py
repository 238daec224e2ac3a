"""Templates: text with holes, and nothing that could reach code (entities 38).

``{path}``, ``{path|converter}``, ``{path?}`` (empty when null), ``{{`` and ``}}``. Not
`str.format`, which reaches attributes. Output is plain text.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.entities import Converter, Converters, Fault, paths
from moatbridge.entities.moments import instant
from moatbridge.errors import ConfigurationError
from moatbridge.translate.sources import MORE, Lines, Template

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TOKEN: Final = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]|[^{}]+")
_HOLE: Final = re.compile(
    r"(?P<path>.*?)(?:\|(?P<via>[\w.\-]+))?(?P<empty>\?)?", re.DOTALL
)


class Hole(NamedTuple):
    """One place to fill.

    Args:
        path: Record path (in ``fields``) or entity path (in ``back``).
        via: Name of a converter without arguments.
        optional: Empty when null; else null makes the whole result null.
    """

    path: str
    via: str | None = None
    optional: bool = False


def parse(text: str) -> tuple[str | Hole, ...]:
    """The parts of a template.

    Raises:
        ConfigurationError: ``template.syntax`` or ``path.syntax``.
    """
    parts: list[str | Hole] = []
    for token in _TOKEN.findall(text):
        if token in {"{", "}"}:
            message = "A template has a lone brace; write {{ or }} for a brace itself."
            raise ConfigurationError(message, code="template.syntax")
        if token in {"{{", "}}"}:
            parts.append(token[0])
        else:
            parts.append(_hole(token) if token[0] == "{" else token)
    return tuple(parts)


def template_of(
    text: str,
    converters: Converters | None = None,
    *,
    blocks: Mapping[str, Lines] | None = None,
) -> Template:
    """A `Template` with its converters found.

    Args:
        text: The text.
        converters: Where they are found.
        blocks: Lines that stand in the holes of these names.

    Raises:
        ConfigurationError: ``template.syntax``, ``path.syntax``, ``converter.unknown``.
    """
    known = converters or Converters()
    holes = [part for part in parse(text) if isinstance(part, Hole)]
    for name in (blocks or {}).keys() - {hole.path for hole in holes}:
        message = f"The template has no hole {{{name}}} for the block {name!r}."
        raise ConfigurationError(message, code="template.syntax")
    used = {hole.via for hole in holes if hole.via}
    made = {name: known.make(name)[0] for name in sorted(used)}
    return Template(text, made, dict(blocks or {}))


def lines_of(
    path: str,
    text: str,
    converters: Converters | None = None,
    *,
    most: int | None = None,
    more: str = MORE,
) -> Lines:
    """A `Lines` block, checked.

    Raises:
        ConfigurationError: ``template.syntax`` and what `template_of` raises.
    """
    whole_number = isinstance(most, int) and not isinstance(most, bool)
    if most is not None and (not whole_number or most < 1):
        message = "most takes a number of lines, at least 1."
        raise ConfigurationError(message, code="template.syntax")
    odd = [p for p in parse(more) if isinstance(p, Hole) and p != Hole("count")]
    if odd:
        message = "more has one hole only: {count}."
        raise ConfigurationError(message, code="template.syntax")
    return Lines(path, template_of(text, converters), most, more)


def reads_of(source: Template) -> list[str]:
    """The paths a template reads, one for each hole; a block reads its list."""
    holes = (part.path for part in parse(source.text) if isinstance(part, Hole))
    return [source.blocks[p].path if p in source.blocks else p for p in holes]


def fill(
    parts: Sequence[str | Hole],
    converters: dict[str, Converter],
    values: Sequence[Any],
) -> str | None:
    """The finished text, or None if a plain hole is null.

    Args:
        parts: From `parse`.
        converters: By the names used in the holes.
        values: One for each hole, in order.

    Raises:
        Fault: A value is not text, a number or a moment.
        ValueError: A converter refused.
    """
    result: list[str] = []
    following = iter(values)
    for part in parts:
        if isinstance(part, str):
            result.append(part)
            continue
        value = next(following)
        if value is not None and part.via:
            value = converters[part.via].decode(value)
        if value is not None:
            result.append(shown(value))
        elif not part.optional:
            return None
    return "".join(result)


def shown(value: Any) -> str:
    """One value as the text that stands for it in a template.

    Raises:
        Fault: It has no one text (a float, bool, list or object).
    """
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise Fault(f"{type(value).__name__} cannot stand in a template; add a converter")


def _hole(token: str) -> Hole:
    found = _HOLE.fullmatch(token[1:-1])
    if found is None:  # pragma: no cover - the pattern takes any text
        raise AssertionError
    path = found["path"]
    try:
        parsed = paths.parse(path)
    except ConfigurationError as error:
        message = (
            "A template's hole is not '{path}', '{path|converter}' or '{path?}': "
            + error.message
        )
        raise ConfigurationError(message, code="template.syntax") from None
    if path.isdigit():
        message = "A template's hole is a number; name a path instead."
        raise ConfigurationError(message, code="template.syntax")
    return Hole(paths.show(parsed), found["via"], bool(found["empty"]))
