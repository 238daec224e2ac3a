"""Blocks of a template: one line for each item of a list (entities 36, 39)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge.entities import Fault, plain
from moatbridge.errors import ConfigurationError
from moatbridge.translate import templates
from moatbridge.translate.leaves import BROKEN
from moatbridge.translate.lists import items_root
from moatbridge.translate.runtime import reach
from moatbridge.translate.sources import ITEM
from moatbridge.translate.steps import record_place
from moatbridge.translate.typed import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.translate.sources import Lines
    from moatbridge.translate.steps import Place, Root


def block_reader(block: Lines, root: Root) -> Callable[[Any], str | None]:
    """A function of the list's value that gives the lines as one text.

    An empty list is an empty text. Null in a plain hole of any line makes all of it
    null: a line is never left out silently.

    Raises:
        ConfigurationError: ``path.*`` or ``translate.kind``.
    """
    place = record_place(block.path, root)
    if not place.multi and place.type not in UNKNOWN:
        message = f"{place.text!r} is not a list; name it in the template itself"
        raise ConfigurationError(message, code="translate.kind")
    parts = templates.parse(block.template.text)
    paths = templates.reads_of(block.template)
    scalar = ITEM in paths
    inner = items_root(place, scalar=scalar, root=root)
    places = [record_place(path, inner) for path in paths]
    converters = dict(block.template.converters)

    def read(items: Any) -> str | None:
        shown = []
        for item in _listed(items)[: block.most]:
            values = _values({ITEM: item} if scalar else item, places)
            line = templates.fill(parts, converters, values)
            if line is None:
                return None
            shown.append(line)
        return "\n".join([*shown, *_rest(block, len(items or ()) - len(shown))])

    return read


def _listed(items: Any) -> list[Any]:
    if items is None:
        return []
    if not isinstance(items, list):
        raise Fault(f"not a list but {type(items).__name__}")
    if len(items) > plain.MAX_ENTRIES:
        raise Fault(f"too-large: over {plain.MAX_ENTRIES} entries")
    return items


def _values(item: Any, places: Sequence[Place]) -> list[Any]:
    found = [reach(item, place.steps) for place in places]
    if BROKEN in found:
        raise Fault("an entry is not an object")
    return found


def _rest(block: Lines, left: int) -> list[str]:
    if left <= 0:
        return []
    parts = templates.parse(block.more)
    count = [str(left) for part in parts if isinstance(part, templates.Hole)]
    return [templates.fill(parts, {}, count) or ""]
