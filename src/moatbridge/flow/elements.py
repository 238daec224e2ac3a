"""Lists that both sides of a pair may change, merged element by element (delivery 49).

What both sides agreed on is kept as two hashes of each element: as side a shows it, and
as side b does. A target may write a value in its own way, and refers to members by its
own ids. So an element whose hash is known is unchanged on its side, one whose hash is
not known was added or changed, and a hash without its element was removed or changed.
Several elements of one side may look alike at the other (one address for work and for
home, where types are unknown); they stay apart here, and one of them there stands for
all. So:

* what one side added stands on both sides
* what one side removed goes, unless the other side changed it meanwhile
* what one side changed is as that side says; if both did, as side a says
* a list has one ``primary`` element at most (RFC 7643 section 2.4): side a's

Afterwards the source's list is what counts as agreed. Whatever the target has besides
is then known to be its own, and the opposite flow carries it.

An element is identified by ``type`` and ``value``, or by the record that it refers to.
Everything here is pure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moatbridge.flow.sameness import canonical
from moatbridge.ledger.keys import path_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Element: TypeAlias = dict[str, Any]
Pair: TypeAlias = tuple[bytes, bytes]
"""Hashes of one element as the source and as the target show it."""

NOWHERE: Final = b"\0\0\0\0"
"""Instead of a hash: the element is known to be lacking on that side."""

_GONE: Final = b"gone"
"""Instead of a hash that nobody knows any more: equals that of no element."""


@dataclass(frozen=True, slots=True)
class Ours:
    """An element of the source's list.

    Args:
        said: Its hash as the source shows it.
        shown: As the target will show it; None if it cannot hold it.
    """

    said: bytes
    shown: Element | None


@dataclass(frozen=True, slots=True)
class Merged:
    """A list to write, and what is agreed once it is written."""

    elements: list[Element]
    agreed: list[Pair]


def content(element: Element) -> bytes:
    """Four bytes that stand for all that an element says."""
    return path_hash(json.dumps(canonical(element), sort_keys=True))


def contents(elements: Any) -> set[bytes]:
    """The same for each element of a list; None is an empty one."""
    return {content(each) for each in elements or ()}


def identity(element: Element) -> str:
    """What tells an element apart: a reference, or ``type`` and ``value``."""
    value = element.get("value")
    kind = None if isinstance(value, dict) else element.get("type")
    return json.dumps([kind, canonical(value)], sort_keys=True)


def merge(
    ours: Sequence[Ours],
    theirs: Sequence[Element],
    base: Iterable[Pair],
    *,
    first: bool,
    says: frozenset[str] | None = None,
) -> Merged:
    """Merge the source's list into the target's.

    Args:
        ours: The source's elements.
        theirs: The target's, as it shows them now.
        base: What both agreed on last.
        first: The source is side a: its word counts where both changed one element.
        says: Members of an element that the source can express at all; None: all. The
            others are left as they are.
    """
    merging = _Merging(theirs, list(base), {each.said for each in ours}, says)
    for each in ours:
        merging.take(each, first=first)
    mine = [each.shown for each in ours if each.shown is not None]
    elements = _one_primary(merging.elements, mine, theirs, first=first)
    return Merged(elements, merging.all_agreed())


class _Merging:
    def __init__(
        self,
        theirs: Sequence[Element],
        base: list[Pair],
        said: set[bytes],
        says: frozenset[str] | None,
    ) -> None:
        self._there: dict[bytes, list[bytes]] = {}
        self._known: dict[bytes, set[bytes]] = {}
        for s, t in base:
            if NOWHERE not in (s, t):
                self._there.setdefault(s, []).append(t)
                self._known.setdefault(t, set()).add(s)
        self._foreign = {t for s, t in base if s == NOWHERE}
        self._says = says
        self._theirs = contents(theirs)
        self._dropped: dict[str, Element] = {}
        self._at: dict[str, int] = {}
        self._ours: dict[str, int] = {}
        self._place: dict[bytes, int] = {}
        self._agreed: list[tuple[bytes, int | bytes]] = []
        self.elements: list[Element] = []
        for each in theirs:
            self._keep_or_drop(each, said)

    def _keep_or_drop(self, theirs: Element, said: set[bytes]) -> None:
        """Lay out one element of the target; several of the source may look like it."""
        hashed, who = content(theirs), identity(theirs)
        known = self._known.get(hashed, set())
        if known and known.isdisjoint(said):
            self._dropped[who] = theirs  # removed or changed here
            return
        at = len(self.elements)
        if known:
            self._ours[who] = self._place[hashed] = at
        else:  # added or changed there
            self._at[who] = at
        self.elements.append(theirs)

    def take(self, each: Ours, *, first: bool) -> None:
        """Lay one element of the source over the target's list."""
        there = self._there.get(each.said)
        if there is not None:  # unchanged here: the target's list tells what it is now
            self._agreed += ((each.said, self._place.get(t, t)) for t in there)
        elif each.shown is None:
            self._agreed.append((each.said, NOWHERE))
        else:
            self._agreed.append((each.said, self._lay(each.shown, first=first)))

    def _lay(self, mine: Element, *, first: bool) -> int | bytes:
        """Where an element went, or its hash if the target's word stands instead."""
        who = identity(mine)
        at = self._at.get(who)
        if at is not None:
            mine = self._over(self.elements[at], mine)
            if not first:
                return content(mine)
        elif who in self._dropped or who not in self._ours:
            mine = self._over(self._dropped.pop(who, None), mine)
            at = self._ours[who] = len(self.elements)
            self.elements.append(mine)
        else:  # another one of the source looks like it
            at = self._ours[who]
            mine = self._over(self.elements[at], mine)
        self.elements[at] = mine
        return at

    def all_agreed(self) -> list[Pair]:
        """With what only the target can hold.

        Of those that look alike all count as what stands in their place at last.
        """
        agreed = [
            (s, t if isinstance(t, bytes) else content(self.elements[t]))
            for s, t in self._agreed
        ]
        named = {t for _s, t in agreed}
        foreign = (self._foreign & self._theirs) - named
        return [*agreed, *((NOWHERE, each) for each in sorted(foreign))]

    def _over(self, theirs: Element | None, mine: Element) -> Element:
        if self._says is None or theirs is None:
            return mine
        return {k: v for k, v in theirs.items() if k not in self._says} | mine


def _one_primary(
    elements: list[Element],
    ours: Sequence[Element],
    theirs: Sequence[Element],
    *,
    first: bool,
) -> list[Element]:
    """Leave ``primary`` to one element, where each side alone had one at most."""
    if max(len(_primary(ours)), len(_primary(theirs))) > 1:
        return elements  # that side does not mind
    if len(_primary(elements)) <= 1:
        return elements
    wins = {identity(each) for each in _primary(ours if first else theirs)}
    return [
        {**each, "primary": False}
        if each.get("primary") is True and identity(each) not in wins
        else each
        for each in elements
    ]


def _primary(elements: Sequence[Element]) -> list[Element]:
    return [each for each in elements if each.get("primary") is True]


def presumed(
    ours: Sequence[Ours],
    theirs: Sequence[Element],
    *,
    same_here: bool,
    same_there: bool,
) -> list[Pair]:
    """What both agreed on, of a list that was compared as a whole so far.

    Args:
        ours: The source's elements.
        theirs: The target's.
        same_here: The source's list is as it was when both agreed.
        same_there: The target's is.
    """
    views = [(each.said, each.shown) for each in ours if each.shown is not None]
    if same_here and same_there:
        return _paired(views, theirs)
    if same_there:
        twins: dict[bytes, list[bytes]] = {}
        for said, view in views:
            twins.setdefault(content(view), []).append(said)
        return [(s, t) for t in map(content, theirs) for s in twins.get(t, [_GONE])]
    if same_here:
        held = contents(theirs)
        return [(s, t if (t := content(view)) in held else _GONE) for s, view in views]
    return []


def _paired(
    views: Sequence[tuple[bytes, Element]], theirs: Sequence[Element]
) -> list[Pair]:
    """All that both hold is agreed: what only one of them has is its own."""
    spelled = respelled([view for _said, view in views], theirs)
    pairs = [(s, spelled.get(t, t)) for s, view in views for t in [content(view)]]
    foreign = contents(theirs) - {t for _s, t in pairs}
    return [*pairs, *((NOWHERE, each) for each in sorted(foreign))]


def respelled(
    written: Sequence[Element], stored: Sequence[Element]
) -> dict[bytes, bytes]:
    """How the target shows what it did not take as it was written.

    Compared in turn by identity, by letters and digits alone, and at last by order
    within a type, if as many are left on both sides.

    Args:
        written: The list as it was sent.
        stored: As the target shows it after that.

    Returns:
        Hash as written -> hash as shown, `NOWHERE` for what the target did not keep.
    """
    old, new = contents(written), contents(stored)
    open_ = {content(e): e for e in written if content(e) not in new}
    left = {content(e): e for e in stored if content(e) not in old}
    found: dict[bytes, bytes] = {}
    for alike in (identity, _plain):
        by = {alike(e): c for c, e in left.items()}
        for c, each in [*open_.items()]:
            if (match := by.pop(alike(each), None)) is not None:
                found[c] = match
                del open_[c], left[match]
    found |= _by_order(open_, left)
    return dict.fromkeys(open_, NOWHERE) | found


def _by_order(
    open_: Mapping[bytes, Element], left: Mapping[bytes, Element]
) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    mine, theirs = _by_type(open_), _by_type(left)
    for kind, hashes in mine.items():
        if len(hashes) == len(theirs.get(kind, ())):
            found |= dict(zip(hashes, theirs[kind], strict=True))
    return found


def _by_type(elements: Mapping[bytes, Element]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for hashed, each in elements.items():
        found.setdefault(json.dumps(each.get("type")), []).append(hashed)
    return found


def _plain(element: Element) -> str:
    return "".join(sign for sign in identity(element).casefold() if sign.isalnum())


def shown(
    elements: Sequence[Element], trip: Callable[[list[Element]], list[Element]]
) -> list[Element | None]:
    """Each element as the target will show it, None for one that it cannot hold.

    Args:
        elements: In the target's terms.
        trip: Encodes a list for the target and decodes that again; keeps the order.
    """
    whole = trip(list(elements))
    if len(whole) == len(elements):
        return list(whole)
    return [next(iter(trip([each])), None) for each in elements]
