"""Lists of a pair that are merged: which a flow may merge, and what it writes then.

The judgement itself is in `moatbridge.flow.elements`; here its terms are put together:
the source's list as it says it, the same as the target will show it (resolved, and
without what the target cannot hold), and the target's list as it was just fetched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import ConfigurationError, TranslationError
from moatbridge.flow.agreement import PairCarry
from moatbridge.flow.elements import Merged, Ours, content, merge, presumed, shown
from moatbridge.translate import reference_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moatbridge.entities import Shape
    from moatbridge.flow.elements import Element
    from moatbridge.flow.references import Resolution
    from moatbridge.flow.route import End, Route
    from moatbridge.translate.leaves import Leaf

MERGE: Final = "merge"
"""Owner of a list that both sides may change, each element by itself."""


def check_merged(
    name: str, table: Mapping[str, str], merged: Iterable[str], ends: tuple[End, End]
) -> None:
    """Refuse what cannot be merged.

    Args:
        name: The flow.
        table: The pair's ``owner``.
        merged: Paths that the flow carries and that are to be merged.
        ends: Both ends of the flow.

    Raises:
        ConfigurationError: ``flow.owner``: it is no list, its entries cannot be told
            apart, or one end does not carry all of it both ways.
    """
    found = tuple(merged)
    for path in found:
        for end, other in (ends, ends[::-1]):
            if why := _hindered(path, end) or _loses_types(path, end, other):
                raise _refused(name, path, why, end.address)
    heads = {"*", *(_head(path) for path in found)}
    for key, who in table.items():
        if who == MERGE and key not in heads:
            why = "the flow carries no list of that name"
            raise _refused(name, key, why, ends[0].address)


def _hindered(path: str, end: End) -> str | None:
    """Why a path cannot be merged."""
    head = _head(path)
    shape = end.bound.translator.entity.shape.members.get(head)
    if shape is None or shape.kind != "list":
        return "it is no list"
    if not _identified(shape):
        return "its entries have nothing to tell them apart (`value`)"
    leaf = _leaf(end, head)
    if leaf is None:
        return (
            f"{end.address} maps single entries of it. Those travel by themselves: "
            "give each of them an owner, or map the whole list with `each`"
        )
    if leaf.write is None:
        return f"{end.address} cannot write it"
    return None


def _loses_types(path: str, end: End, other: End) -> str | None:
    """Why a change here would take away the `type` that an entry has at the other end.

    An entry is known by value and type. Where only values are said, what changes can
    only come and go; where more is said, an entry could change, and without its type.
    """
    says, there = _says(end, _head(path)), _says(other, _head(path))
    if says is None or "type" in says or says <= {"value"}:
        return None
    if there is not None and "type" not in there:
        return None
    more = ", ".join(sorted(says - {"value"}))
    return f"{end.address} says its {more} and not its type, which would be lost"


def _identified(shape: Shape) -> bool:
    item = shape.item
    return (
        shape.attribute.unordered
        and item is not None
        and item.kind == "object"
        and "value" in item.members
    )


def _leaf(end: End, head: str) -> Leaf | None:
    """What maps the whole list."""
    leaves = end.bound.resolved.leaves
    return next((leaf for leaf in leaves if leaf.spot.text == head), None)


def _refused(name: str, path: str, why: str, stream: str) -> ConfigurationError:
    return ConfigurationError(
        f"Flow {name!r}: `{path}` cannot be merged: {why}. Name the stream that owns "
        "it, or use `latest` or `hold`.",
        code="flow.owner",
        stream=stream,
    )


def _head(path: str) -> str:
    return path.partition(".")[0].partition("[")[0]


def merged_lists(
    route: Route,
    said: dict[str, Any],
    sent: dict[str, Any],
    resolved: Resolution,
    *,
    there: dict[str, Any] | None,
    base: bytes | None,
) -> dict[str, Merged]:
    """The lists of a change as they are to be written.

    Args:
        route: A flow of a pair.
        said: What is carried, in the source's terms.
        sent: The same in the target's.
        resolved: How its references were resolved.
        there: The target's record as it is; None if there is none.
        base: What both agreed on.

    Returns:
        By path; without unchanged ones of which the target's record says nothing.

    Raises:
        TranslationError: ``translate.incomplete``: a list was changed, and the target's
            could not be read, so what is there beside it would be lost.
    """
    carry = route.carry
    assert isinstance(carry, PairCarry)  # noqa: S101 - the caller looked
    found: dict[str, Merged] = {}
    for path in carry.merged & said.keys():
        if there is not None and path not in there:
            if path in carry.differing(said, base):
                raise TranslationError(
                    f"{path} of a record of {route.target.address} could not be read "
                    "completely, so nothing can be merged into it",
                    code="translate.incomplete",
                    path=path,
                )
            continue
        ours = _ours(route, path, said[path] or [], sent.get(path) or [], resolved)
        theirs = (there or {}).get(path) or []
        pairs = carry.elements(path, base)
        if pairs is None and there is not None:
            pairs = presumed(
                ours,
                theirs,
                same_here=path not in carry.differing(said, base),
                same_there=path not in carry.differing_there(there, base),
            )
        found[path] = merge(
            ours,
            theirs,
            pairs or (),
            first=route.row.side == 0,
            says=_says(route.source, path),
        )
    return found


def _ours(
    route: Route,
    path: str,
    said: list[Element],
    sent: list[Element],
    resolved: Resolution,
) -> list[Ours]:
    """The source's elements: as it says them, and as the target will show them."""
    bound = route.target.bound

    def trip(elements: list[Element]) -> list[Element]:
        record = bound.encode({path: elements}, {})
        return bound.decode_partial(record).get(path) or []

    views = iter(shown(sent, trip))
    return [
        Ours(content(e), None if _unlinked(e, resolved) else next(views)) for e in said
    ]


def _unlinked(element: Element, resolved: Resolution) -> bool:
    """Whether it refers to a record that nothing is linked to yet."""
    value = element.get("value")
    return isinstance(value, dict) and reference_key(value) in resolved.unlinked


def _says(source: End, path: str) -> frozenset[str] | None:
    """Members of an element that the source can express; None: all of them."""
    leaf = _leaf(source, path)
    if leaf is None or not leaf.inner:
        return None
    return frozenset(each.spot.text.partition("[].")[2] for each in leaf.inner)
