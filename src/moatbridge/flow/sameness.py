"""Whether two values mean the same, however a target spells them."""

from __future__ import annotations

from typing import Any


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether `canonical` of two entities is equal; most members are so as they are."""
    for name in one.keys() | other.keys():
        mine, theirs = one.get(name), other.get(name)
        if mine != theirs and _kept(mine) != _kept(theirs):
            return False
    return True


def _kept(value: Any) -> Any:
    return None if value in (None, []) else canonical(value)


def canonical(value: Any) -> Any:
    """Equal for equal meaning: lists without order, references by id alone."""
    if isinstance(value, dict):
        if "stream" in value and ("id" in value or "name" in value):
            return value.get("id") or value.get("name")
        return {k: canonical(v) for k, v in value.items() if v not in (None, [])}
    if isinstance(value, list):
        return sorted((canonical(entry) for entry in value), key=repr)
    return value
