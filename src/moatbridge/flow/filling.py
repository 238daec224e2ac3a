"""Whether creates can hold what the target needs of them: told before the first one."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from moatbridge.errors import ConfigurationError
from moatbridge.translate import join_report

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moatbridge.flow.route import End

OURS: Final = "externalId"
"""Entity path that holds the key of the source's record where nothing else is said."""

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def given(target: End, side: int) -> tuple[str, ...]:
    """Entity paths that a flow fills by itself, whatever its source says.

    Args:
        target: Where it writes.
        side: Side of its source within the pair.
    """
    return (OURS,) if side == 0 and OURS in target.bound.paths else ()


def check_filled(name: str, source: End, target: End, *, side: int) -> None:
    """Refuse a flow of whose creates the target would take none.

    A key that the target gives out is not required, and so never asked for.

    Args:
        name: The flow.
        source: Where it reads.
        target: Where it creates records.
        side: Side of its source within the pair.

    Raises:
        ConfigurationError: ``flow.unfilled``, with the fields and the lines to write.
    """
    joined = join_report(source.bound, target.bound, given(target, side))
    if not joined.unfed:
        return
    key = target.stream.key
    fields = [f"{f} ({_why(f, key)})" for f in joined.unfed]
    raise ConfigurationError(
        f"Flow {name!r}: {target.address} would refuse every create, for nothing fills "
        f"{' and '.join(fields)}. What is lacking:\n"
        + "\n".join(_lines(joined.unfed, source, target, joined.lost, side)),
        code="flow.unfilled",
        stream=target.address,
    )


def _why(field: str, key: Sequence[str]) -> str:
    return "its key, which the writer chooses" if field in key else "required"


def _lines(
    fields: Sequence[str], source: End, target: End, lost: Sequence[str], side: int
) -> Iterator[str]:
    """Configuration to paste: for the target's translator first, then the source's."""
    asked = {field: path for field in fields if (path := _path(field, target))}
    mine = [field for field in fields if field not in asked]
    if mine:
        yield _section(target)
        yield from (_line(field, target, lost, side) for field in mine)
    if asked:
        yield _section(source)
    for field, path in asked.items():
        words = f'{_key(path)} = "FIELD"  # fills {field}'
        yield f"{words}; FIELD: a field of {source.address}"


def _path(field: str, target: End) -> str | None:
    """The entity path that fills a field of the target, if its source said it."""
    for leaf in target.bound.resolved.leaves:
        if leaf.write is not None and leaf.write.place.top == field:
            return leaf.spot.text
    members = target.bound.translator.entity.shape.members
    return field if target.stream.native and field in members else None


def _line(field: str, target: End, lost: Sequence[str], side: int) -> str:
    members = target.bound.translator.entity.shape.members
    free = OURS in members and OURS not in target.bound.paths
    if free and field in target.stream.key and (side == 0 or OURS in lost):
        return f"{OURS} = {json.dumps(field)}"
    some = f"one of {', '.join(lost)}" if lost else "what the source says"
    return f"PATH = {json.dumps(field)}  # PATH: {some}"


def _section(end: End) -> str:
    return f"[streams.{_key(end.address)}.translator.fields]"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)
