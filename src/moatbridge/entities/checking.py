"""Is this dict a valid entity? For edges, not for the hot path (entities 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.entities import paths, plain
from moatbridge.entities.canonical import canonical_json
from moatbridge.entities.problem import Problem
from moatbridge.entities.registry import entity_type
from moatbridge.entities.social_checking import post_problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from moatbridge.entities.shapes import EntityType, Shape

MAX_NAMESPACES: Final = 8
MAX_EXTENSIONS: Final = 32 * 1024


def check(entity: Mapping[str, Any], kind: str | type | EntityType) -> list[Problem]:
    """Everything wrong with an entity; an empty list means that it is valid.

    Args:
        entity: A complete entity (required fields must be there).
        kind: Its type.

    Raises:
        ConfigurationError: ``entity.unknown``.
    """
    described = entity_type(kind)
    problems = list(_object(entity, described.shape, ""))
    problems += extension_problems(entity.get("extensions"))
    if described.name == "Post":
        known = {each.path for each in problems}
        problems += [p for p in post_problems(entity) if p.path not in known]
    return problems


def _object(value: Any, shape: Shape, at: str) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield Problem(at.rstrip("."), "kind", "an object")
        return
    for name, member in shape.members.items():
        if member.required and value.get(name) is None:
            yield Problem(at + name, "missing", "a value; it is required")
    for name, each in value.items():
        known = shape.members.get(name)
        place = at + paths.quote(str(name))
        if known is None:
            yield Problem(place, "unknown", "a member of the type")
        elif known.attribute.read_only:
            yield Problem(place, "read-only", "nothing; it is derived")
        elif each is not None:
            yield from _value(each, known, place)
        elif known.kind == "list":
            yield Problem(place, "kind", "[] for a list known to be empty")


def _value(value: Any, shape: Shape, at: str) -> Iterator[Problem]:
    if shape.kind == "object":
        yield from _object(value, shape, at + ".")
    elif shape.kind == "list":
        yield from _list(value, shape, at)
    elif shape.kind == "map" and isinstance(value, dict):
        for name, each in value.items():
            if shape.item is not None:
                yield from _value(each, shape.item, f"{at}.{paths.quote(str(name))}")
    elif shape.kind == "reference":
        yield from _reference(value, at)
    else:
        yield from _leaf(value, shape, at)


def _list(value: Any, shape: Shape, at: str) -> Iterator[Problem]:
    if isinstance(value, dict) and shape.attribute.delta:
        for name, each in value.items():
            if name not in {"add", "remove"} or not isinstance(each, list):
                yield Problem(at, "kind", "a list, or {add: [...], remove: [...]}")
            else:
                yield from _list(each, shape, f"{at}.{name}")
    elif not isinstance(value, list):
        yield Problem(at, "kind", "a list")
    elif shape.item is not None:
        for index, each in enumerate(value):
            yield from _value(each, shape.item, f"{at}[{index}]")


def _reference(value: Any, at: str) -> Iterator[Problem]:
    good = (
        isinstance(value, dict)
        and value.keys() <= {"stream", "id", "name"}
        and "stream" in value
        and len(value) > 1
        and all(isinstance(each, str) for each in value.values())
    )
    if not good:
        yield Problem(at, "kind", "{stream, id} or {stream, name}, all text")


def _leaf(value: Any, shape: Shape, at: str) -> Iterator[Problem]:
    rules: dict[str, tuple[Callable[[Any], Any], str]] = {
        "text": (lambda v: plain.text(v, multiline=shape.attribute.multiline), "text"),
        "int": (plain.integer, "an integer within 2^53"),
        "bool": (plain.boolean, "true or false"),
    }
    rule, expected = rules.get(shape.kind, (plain.plain, "JSON without floats"))
    try:
        rule(value)
        if shape.words and value not in shape.words:
            yield Problem(at, "kind", f"one of {', '.join(shape.words)}")
    except plain.Fault as fault:
        code = "text" if isinstance(value, str) and shape.kind == "text" else "kind"
        yield Problem(at, code, f"{expected} ({fault})")


def extension_problems(value: Any) -> Iterator[Problem]:
    """What is wrong with an entity's ``extensions`` as a whole (entities 29)."""
    if not isinstance(value, dict):
        return
    if len(value) > MAX_NAMESPACES:
        yield Problem("extensions", "too-large", f"at most {MAX_NAMESPACES} namespaces")
    if any("." not in str(name) and ":" not in str(name) for name in value):
        yield Problem("extensions", "unknown", "reverse-DNS names or URNs")
    try:
        size = len(canonical_json(value).encode())
    except (TypeError, ValueError):
        return  # already reported as a wrong value
    if size > MAX_EXTENSIONS:
        yield Problem("extensions", "too-large", f"at most {MAX_EXTENSIONS} bytes")
