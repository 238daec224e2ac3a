"""`entities.md`: the built-in entity types, member by member."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge import entities
from moatbridge.entities import EntityTypes
from reference_pages.text import description, document, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.entities import Shape

_INTRODUCTION = """\
What the records of every system are translated to. People and groups have the names of
SCIM 2.0 (RFC 7643), content those of ActivityStreams 2.0. A product may register types
of its own under a reverse-DNS name.

Null means "known to be empty", a missing member "says nothing". A *reference* names
another record by the address of its stream and its id or name. In a translator, entries
of a list are chosen by a filter: `emails[type=work].value`. The *label* is what data of
the type carries when its stream says nothing else; see `max_label` in the
[settings](settings.md)."""


def page() -> str:
    """The whole page."""
    parts = [_INTRODUCTION, ""]
    known = EntityTypes()
    for name in known:
        found = known.get(name)
        parts += [f"## `{name}`", "", description(getattr(entities, name)), ""]
        parts += [f"Label: `{found.label}`.", ""]
        rows = [(f"`{path}`", _kind(shape), _more(shape)) for path, shape in _members(
            found.shape
        )]  # fmt: skip
        parts += [*table(("member", "type", ""), rows), ""]
    return document("Entity types", *parts)


def _members(shape: Shape, prefix: str = "") -> Iterator[tuple[str, Shape]]:
    for name, member in shape.members.items():
        path = f"{prefix}{name}"
        if member.kind != "object":
            yield path, member
        yield from _members(member, f"{path}.")
        item = member.item
        if member.kind == "list" and item is not None and item.members:
            yield from _members(item, f"{path}[].")


def _kind(shape: Shape) -> str:
    item = shape.item
    if shape.kind == "list" and item is not None:
        inner = "entries" if item.members else f"{_kind(item)}s"
        return f"list of {inner}"
    if shape.kind == "reference":
        return f"reference{_to(shape)}"
    return " or ".join(f"`{word}`" for word in shape.words) or _WORDS[shape.kind]


_WORDS: dict[Any, str] = {
    "text": "text", "int": "number", "bool": "`true` or `false`", "json": "anything",
    "map": "table",
}  # fmt: skip


def _to(shape: Shape) -> str:
    types = " or ".join(shape.attribute.ref)
    return f" to {types}" if types else ""


def _more(shape: Shape) -> str:
    attribute = shape.attribute
    said = {
        "required": shape.required,
        "never written": attribute.read_only,
        "order does not count": attribute.unordered,
        "changes may travel as additions and removals": attribute.delta,
        "line breaks are kept": attribute.multiline,
    }
    if shape.kind == "list" and attribute.ref:
        said[f"to {' or '.join(attribute.ref)}"] = True
    return "; ".join(words for words, holds in said.items() if holds)
