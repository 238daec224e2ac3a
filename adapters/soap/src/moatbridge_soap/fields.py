"""Fields and paths of records. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moatbridge.adapter import Field


def paths_of(fields: Iterable[Field], above: str = "") -> Iterator[str]:
    """Every path below some fields, those that only lead to others included."""
    for each in fields:
        yield f"{above}{each.name}"
        yield from paths_of(each.fields, f"{above}{each.name}.")


def leaves_of(paths: set[str]) -> list[str]:
    """Paths without those that only lead to others."""
    inner = {path.rpartition(".")[0] for path in paths}
    return sorted(paths - inner)


def names_of(fields: Iterable[Field]) -> set[str]:
    """The names of some fields."""
    return {each.name for each in fields}


def trimmed(each: Field, wanted: Iterable[str]) -> Field | None:
    """A field with only the members that are wanted; None if nothing is."""
    names = list(wanted)
    if each.name in names:
        return each
    below = [
        p.removeprefix(f"{each.name}.") for p in names if p.startswith(f"{each.name}.")
    ]
    if not below:
        return None
    members = (trimmed(member, below) for member in each.fields)
    return replace(each, fields=tuple(m for m in members if m is not None))
