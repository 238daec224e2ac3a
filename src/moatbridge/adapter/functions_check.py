"""Which `StreamFunctions` contradict themselves, and the way out. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moatbridge.adapter.functions import StreamFunctions
    from moatbridge.adapter.streams import Field


def contradiction(
    functions: StreamFunctions[Any], fields: Sequence[Field]
) -> str | None:
    """What is wrong first, as the rest of a sentence; None if nothing is."""
    return next(_contradictions(functions, fields), None)


def _contradictions(
    functions: StreamFunctions[Any], fields: Sequence[Field]
) -> Iterator[str]:
    name = functions.name
    if functions.key not in {field.name for field in fields}:
        yield f"the key '{functions.key}' of {name} is none of its fields"
    for one, other in (("read", "read_after"), ("fetch", "get"), ("update", "replace")):
        if (
            getattr(functions, one) is not None
            and getattr(functions, other) is not None
        ):
            yield f"{name} has both `{one}` and `{other}`; leave one of them out"
    if not functions.abilities:
        yield f"{name} has no function"
    reads = functions.read is not None or functions.read_after is not None
    if functions.find == "read" and not reads:
        yield f"{name} finds by reading and cannot be read; give `read` or `read_after`"
    fetches = functions.fetch is not None or functions.get is not None
    if functions.replace is not None and not fetches:
        yield f"{name} replaces whole rows, and cannot fetch one; give `get` or `fetch`"
    if functions.dedup == "by-key":
        yield from _by_key(functions, fields, fetches=fetches)
    if functions.changes is not None and not (reads and fetches):
        yield (
            f"{name} tells changes, and has no function for when its position is "
            "forgotten, or for a change that is no whole record; give `read` or "
            "`read_after`, and `get` or `fetch`"
        )
    if functions.sees_deletes and functions.changes is None:
        yield f"{name} sees deletes, and has no `changes` that tells them"


def _by_key(
    functions: StreamFunctions[Any], fields: Sequence[Field], *, fetches: bool
) -> Iterator[str]:
    name, key = functions.name, functions.key
    if not fetches:
        yield (
            f'{name} has `dedup="by-key"`, and cannot fetch the record that is there; '
            "give `get` or `fetch`"
        )
    mine = [field for field in fields if field.name == key]
    if not all(field.writable and field.required for field in mine):
        yield (
            f'{name} has `dedup="by-key"`, where the writer chooses the key; make '
            f"'{key}' a writable and required field, or only name it"
        )
    if functions.key_ttl is not None:
        yield (
            f'{name} has `dedup="by-key"`, where a key is remembered for as long as '
            "its record; leave `key_ttl` out"
        )
