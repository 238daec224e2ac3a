"""The TOML form of a translator: names and data only, no code (entities 2).

``uid`` or one of ``{from, via, pick}``, ``{from, lookup, default}``, ``{const}``,
``{template, blocks}``, ``{ref, from, by}``, ``{each, fields}``, ``{each, type}``,
``{each, ref, by, type}``, ``{first, back}``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.entities.core_converters import lookups
from moatbridge.errors import ConfigurationError
from moatbridge.translate.problems import closest
from moatbridge.translate.sources import (
    ITEM,
    Computed,
    Const,
    Copy,
    Each,
    First,
    Lines,
    Ref,
    Source,
    Template,
)
from moatbridge.translate.templates import lines_of, template_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moatbridge.entities import Converters

_KEYS: Final = {
    "const": {"const"},
    "template": {"template", "blocks"},
    "each": {"each", "fields", "type", "ref", "by"},
    "first": {"first", "back"},
    "ref": {"ref", "from", "by", "pick"},
    "from": {"from", "via", "pick", "lookup", "default"},
}
"""Which key makes a table which kind of source; the first that is present wins."""
_BLOCK_KEYS: Final = frozenset({"each", "template", "most", "more"})


def source_of(given: Any, converters: Converters) -> Source:
    """The source that a value of the table describes.

    Raises:
        ConfigurationError: ``translate.source`` and what the parts raise.
    """
    if isinstance(given, (Copy, Const, Template, Computed, Ref, Each, First)):
        return given
    if isinstance(given, str):
        return Copy(given)
    if not isinstance(given, dict):
        raise _wrong("a source is a path, or a table such as {from = ..., via = ...}")
    kind = next((key for key in _KEYS if key in given), None)
    if kind is None:
        raise _wrong(f"a source table needs one of {', '.join(_KEYS)}")
    for key in given:
        if key not in _KEYS[kind]:
            raise _wrong(f"{key!r} does not belong here" + closest(key, _KEYS[kind]))
    return _MAKERS[kind](given, converters)


def _copy(given: Mapping[str, Any], converters: Converters) -> Source:
    chain = converters.make(given["via"]) if "via" in given else ()
    if "lookup" in given:
        if not isinstance(given["lookup"], dict):
            raise _wrong("lookup takes a table")
        chain = (*chain, lookups(given["lookup"], given.get("default")))
    elif "default" in given:
        raise _wrong("default belongs to lookup")
    return Copy(_text(given, "from"), chain, _choice(given, "pick", "min", "first"))


def _const(given: Mapping[str, Any], converters: Converters) -> Source:
    del converters
    return Const(given["const"])


def _template(given: Mapping[str, Any], converters: Converters) -> Source:
    blocks = given.get("blocks", {})
    if not isinstance(blocks, dict):
        raise _wrong("blocks takes a table of name = {each, template}")
    made = {name: _block(each, converters) for name, each in blocks.items()}
    return template_of(_text(given, "template"), converters, blocks=made)


def _block(given: Any, converters: Converters) -> Lines:
    if not isinstance(given, dict):
        raise _wrong("a block is a table such as {each = ..., template = ...}")
    for key in given:
        if key not in _BLOCK_KEYS:
            raise _wrong(f"{key!r} does not belong here" + closest(key, _BLOCK_KEYS))
    more = {key: given[key] for key in ("most", "more") if key in given}
    path, text = _text(given, "each"), _text(given, "template")
    return lines_of(path, text, converters, **more)


def _ref(given: Mapping[str, Any], converters: Converters) -> Source:
    del converters
    return Ref(
        _text(given, "from"),
        _text(given, "ref"),
        _choice(given, "by", "id", "name"),
        _choice(given, "pick", "min", "first"),
    )


def _each(given: Mapping[str, Any], converters: Converters) -> Source:
    if "fields" in given:
        fields = given["fields"]
        if not isinstance(fields, dict) or not fields:
            raise _wrong("fields takes a table with at least one entry")
        if given.keys() & {"type", "ref", "by"}:
            raise _wrong("fields replaces type, ref and by; put them into it")
        inner = {name: source_of(each, converters) for name, each in fields.items()}
        return Each(_text(given, "each"), inner)
    value: Source = Copy(ITEM)
    if "ref" in given:
        value = Ref(ITEM, _text(given, "ref"), _choice(given, "by", "id", "name"))
    inner = {"value": value}
    if "type" in given:
        inner["type"] = Const(_text(given, "type"))
    return Each(_text(given, "each"), inner)


def _first(given: Mapping[str, Any], converters: Converters) -> Source:
    del converters
    paths = given["first"]
    if not isinstance(paths, list) or not all(isinstance(p, str) for p in paths):
        raise _wrong("first takes a list of paths")
    return First(tuple(paths), _text(given, "back") if "back" in given else None)


_MAKERS: Final[dict[str, Callable[[Mapping[str, Any], Converters], Source]]] = {
    "const": _const,
    "template": _template,
    "each": _each,
    "first": _first,
    "ref": _ref,
    "from": _copy,
}


def _text(given: Mapping[str, Any], key: str) -> str:
    value = given.get(key)
    if not isinstance(value, str) or not value:
        raise _wrong(
            f"{key!r} takes a text" + ("" if key in given else "; it is missing")
        )
    return value


def _choice(given: Mapping[str, Any], key: str, *allowed: Any) -> Any:
    value = given.get(key)
    if value is not None and value not in allowed:
        raise _wrong(f"{key!r} takes one of {', '.join(allowed)}")
    return value


def _wrong(message: str) -> ConfigurationError:
    return ConfigurationError(message[0].upper() + message[1:], code="translate.source")
