"""What both sides of a pair agreed on, path by path (delivery 46-48).

``link.base`` of a pair holds, for each entity path that both ends can express, a short
hash of its value at side a and one of its value at side b, as of the last write or the
last look that found them equal. Two hashes, since a target may write a value in its own
way (mail in lower case): each side is only ever compared with what it held itself. So
it can be told

* which paths a side changed since, and which of these both changed
* a drift: a change of a path that the other side owns
* an echo: after a write, the target shows nothing but what was written

Of a list that is merged element by element the same is kept for each element instead
(`moatbridge.flow.elements`).

Both flows of a pair read and write the same base. Another form of it (of a one-way
flow that became half of a pair) says nothing, and nothing is taken for agreed then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from moatbridge.entities.paths import Slot, parse
from moatbridge.flow.carry import Carry
from moatbridge.flow.elements import NOWHERE, contents, respelled
from moatbridge.ledger.keys import path_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moatbridge.entities.paths import Path
    from moatbridge.flow.elements import Pair

_FORM: Final = b"pair"
_WITH_LISTS: Final = b"list"
_WIDTH: Final = 4
_UNKNOWN: Final = b"\0" * _WIDTH


@dataclass(slots=True)
class _Agreed:
    """What a base holds, by the hash of each path.

    Args:
        values: Hashes of its value at side a and at side b.
        lists: Of a list that is merged: the same of each element.
    """

    values: dict[bytes, list[bytes]] = field(default_factory=dict)
    lists: dict[bytes, list[Pair]] = field(default_factory=dict)


class PairCarry(Carry):
    """The paths that one flow of a pair carries, and the memory of both.

    Args:
        paths: What it carries: owned by its source, or contested.
        side: Side of its source, 0 or 1.
        whole: All paths that both ends can express.
        merged: Those of them that are lists merged element by element.
    """

    __slots__ = ("_names", "_side", "merged", "whole")

    def __init__(
        self,
        paths: Iterable[str],
        *,
        side: int,
        whole: Iterable[str],
        merged: Iterable[str] = (),
    ) -> None:
        super().__init__(paths)
        self.whole: Carry = Carry(whole)
        self.merged: frozenset[str] = frozenset(merged)
        self._side = side
        self._names = {
            text: path_hash(text) for text in (*self.paths, *self.whole.paths)
        }

    def base(
        self,
        entity: dict[str, Any],
        former: bytes | None = None,
        there: dict[str, Any] | None = None,
        elements: Mapping[str, list[Pair]] | None = None,
    ) -> bytes:
        """The base once ``entity`` is written.

        Args:
            entity: What is written, as the source says it; other paths stay as agreed.
            former: The base so far.
            there: The target's record as it was, of one that is adopted: what is not
                written counts as agreed.
            elements: What is agreed of lists that were merged, written or not.
        """
        agreed, elements = _load(former), elements or {}
        if former is None and there is not None:
            for text, value in self.whole.values(there).items():
                agreed.values[self._names[text]] = self._pair(_UNKNOWN, _hash(value))
        for text, value in self.whole.values(entity).items():
            agreed.values[self._names[text]] = [_hash(value)] * 2
            if text in self.merged and text not in elements:  # nobody merged it
                agreed.lists[self._names[text]] = [(c, c) for c in _contents(value)]
        for text, pairs in elements.items():
            agreed.lists[self._names[text]] = self._turned(pairs)
        self._tidy(agreed)
        return _dump(agreed)

    def elements(self, text: str, base: bytes | None) -> list[Pair] | None:
        """What was agreed of a merged list, as (source, target); None: nobody knows."""
        pairs = _load(base).lists.get(self._names[text])
        return None if pairs is None else self._turned(pairs)

    def stored(
        self,
        base: bytes,
        there: dict[str, Any],
        paths: Iterable[str],
        written: dict[str, Any] | None = None,
    ) -> tuple[bytes, bool]:
        """The base once the target told what it holds now, and whether that is an echo.

        Args:
            base: As it was when the intent was encoded.
            there: The target's record after the write.
            paths: What was written.
            written: How it was written, if the target may show it in another way.

        Returns:
            The base, and True if all the rest is as it was when both agreed. If not,
            somebody edited the target, and the opposite flow has to look.
        """
        agreed, said, echo = _load(base), set(paths), True
        sent = self.whole.values(written or {})
        for text, value in self.whole.values(there).items():
            name = self._names[text]
            entry = agreed.values.get(name)
            if text in self.merged:
                if text in said and text in sent:
                    self._respell(agreed, name, sent[text], value)
                echo = echo and self._same(agreed, text, value, 1 - self._side)
            elif text in said:
                source = entry[self._side] if entry else _UNKNOWN
                agreed.values[name] = self._pair(source, _hash(value))
            elif not self._same(agreed, text, value, 1 - self._side):
                echo = False
        return _dump(agreed), echo

    def differing(self, entity: dict[str, Any], base: bytes | None) -> frozenset[str]:
        """Paths that the entity says something about, and that are not as agreed."""
        return self._differing(entity, base, self._side)

    def differing_there(
        self, there: dict[str, Any], base: bytes | None
    ) -> frozenset[str]:
        """The same for the target's record."""
        return self._differing(there, base, 1 - self._side)

    def drifted(self, entity: dict[str, Any], base: bytes | None) -> frozenset[str]:
        """Paths of the other side's that are known to have changed at this one."""
        agreed, mine = _load(base), set(self.paths)
        return frozenset(
            text
            for text, value in self.whole.values(entity).items()
            if text not in mine
            and (entry := agreed.values.get(self._names[text])) is not None
            and entry[self._side] not in (_UNKNOWN, _hash(value))
        )

    def changed(self, entity: dict[str, Any], base: bytes | None) -> tuple[str, ...]:
        """See `Carry.changed`."""
        said = tuple(self.values(entity))
        found = self.differing(entity, base)
        return tuple(text for text in said if text in found) or said

    def moved(self, entity: dict[str, Any], base: bytes | None, head: str) -> bool:
        """See `Carry.moved`."""
        if not _is_base(base):
            return False
        return any(_head(text) == head for text in self.differing(entity, base))

    def _differing(
        self, entity: dict[str, Any], base: bytes | None, side: int
    ) -> frozenset[str]:
        agreed = _load(base)
        return frozenset(
            text
            for text, value in self.whole.values(entity).items()
            if not self._same(agreed, text, value, side)
        )

    def _same(self, agreed: _Agreed, text: str, value: Any, side: int) -> bool:
        name = self._names[text]
        if text in self.merged and name in agreed.lists:
            known = {pair[side] for pair in agreed.lists[name]} - {NOWHERE}
            return known == _contents(value)
        entry = agreed.values.get(name)
        return entry is not None and entry[side] == _hash(value)

    def _respell(self, agreed: _Agreed, name: bytes, sent: Any, there: Any) -> None:
        """Note each element of a list as the target shows it."""
        shown = respelled(sent or (), there or ())
        pairs = self._turned(agreed.lists.get(name, ()))
        pairs = [(source, shown.get(target, target)) for source, target in pairs]
        agreed.lists[name] = self._turned(pairs)

    def _tidy(self, agreed: _Agreed) -> None:
        """Each path is agreed on in one way alone, also if its owner was changed."""
        merged = {self._names[text] for text in self.merged}
        agreed.lists = {n: p for n, p in agreed.lists.items() if n in merged}
        for name in agreed.lists:
            agreed.values.pop(name, None)

    def _turned(self, pairs: Iterable[Pair]) -> list[Pair]:
        """(source, target) as (side a, side b), or the other way round."""
        return [(b, a) if self._side else (a, b) for a, b in pairs]

    def _pair(self, source: bytes, target: bytes) -> list[bytes]:
        return [target, source] if self._side else [source, target]


def without(entity: Mapping[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """The entity without what these paths name."""
    left = dict(entity)
    for text in paths:
        left = _less(left, parse(text))
    return left


def _less(value: Mapping[str, Any], path: Path) -> dict[str, Any]:
    first, rest = path[0], path[1:]
    left, inner = dict(value), value.get(first.name)
    if isinstance(first.selector, Slot) and isinstance(inner, list):
        inner = [e for each in inner if (e := _other(each, first.selector, rest))]
    elif rest and isinstance(inner, dict):
        inner = _less(inner, rest)
    else:
        inner = None
    if inner:
        left[first.name] = inner
    else:
        left.pop(first.name, None)
    return left


def _other(entry: Any, slot: Slot, rest: Path) -> Any:
    """A list's entry without what the path names; None if nothing is left of it."""
    if not isinstance(entry, dict) or entry.get(slot.name) != slot.value:
        return entry
    left = _less(entry, rest) if rest else {}
    return left if left.keys() - {slot.name} else None


def _head(text: str) -> str:
    return text.partition(".")[0].partition("[")[0]


def _hash(value: Any) -> bytes:
    return path_hash(_steady(value))


def _steady(value: Any) -> Any:
    """Lists without their order, empty and missing alike."""
    if isinstance(value, list):
        return sorted((_steady(entry) for entry in value), key=repr) or None
    if isinstance(value, dict):
        return {k: _steady(v) for k, v in sorted(value.items())}
    return None if value == "" else value


def _contents(value: Any) -> set[bytes]:
    return contents(value) if isinstance(value, list) else set()


def _is_base(base: bytes | None) -> bool:
    return base is not None and base.startswith((_FORM, _WITH_LISTS))


def _load(base: bytes | None) -> _Agreed:
    """Read a base: its values, and behind them its lists, if there are any."""
    if base is None or not _is_base(base):
        return _Agreed()
    reader = _Reader(base, len(_FORM))
    if base.startswith(_FORM):
        return _Agreed(reader.values((len(base) - len(_FORM)) // (3 * _WIDTH)))
    agreed = _Agreed(reader.values(reader.number()))
    while reader.at < len(base):
        name = reader.hashed()
        count = reader.number()
        agreed.lists[name] = [(reader.hashed(), reader.hashed()) for _ in range(count)]
    return agreed


class _Reader:
    def __init__(self, base: bytes, at: int) -> None:
        self._base = base
        self.at = at

    def hashed(self) -> bytes:
        self.at += _WIDTH
        return self._base[self.at - _WIDTH : self.at]

    def number(self) -> int:
        return int.from_bytes(self.hashed(), "big")

    def values(self, count: int) -> dict[bytes, list[bytes]]:
        return {
            self.hashed(): [self.hashed(), self.hashed()] for _number in range(count)
        }


def _dump(agreed: _Agreed) -> bytes:
    entries = [name + a + b for name, (a, b) in sorted(agreed.values.items())]
    if not agreed.lists:
        return _FORM + b"".join(entries)
    for name, pairs in sorted(agreed.lists.items()):
        unique = sorted(set(pairs))
        entries += [name, _number(len(unique)), *(a + b for a, b in unique)]
    return _WITH_LISTS + _number(len(agreed.values)) + b"".join(entries)


def _number(number: int) -> bytes:
    return number.to_bytes(_WIDTH, "big")
