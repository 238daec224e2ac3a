"""What both sides of a pair agreed on, path by path (delivery 46-48).

``link.base`` of a pair holds, for each entity path that both ends can express, a short
hash of its value at side a and one of its value at side b, as of the last write or the
last look that found them equal. Two hashes, since a target may write a value in its own
way (mail in lower case): each side is only ever compared with what it held itself. So
it can be told

* which paths a side changed since, and which of these both changed
* a drift: a change of a path that the other side owns
* an echo: after a write, the target shows nothing but what was written

Both flows of a pair read and write the same base. Another form of it (of a one-way
flow that became half of a pair) says nothing, and nothing is taken for agreed then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.entities.paths import Slot, parse
from moatbridge.flow.carry import Carry
from moatbridge.ledger.keys import path_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moatbridge.entities.paths import Path

_FORM: Final = b"pair"
_WIDTH: Final = 4
_UNKNOWN: Final = b"\0" * _WIDTH

_Agreed = dict[bytes, list[bytes]]
"""Hash of a path -> hashes of its value at side a and at side b."""


class PairCarry(Carry):
    """The paths that one flow of a pair carries, and the memory of both.

    Args:
        paths: What it carries: owned by its source, or contested.
        side: Side of its source, 0 or 1.
        whole: All paths that both ends can express.
    """

    __slots__ = ("_names", "_side", "whole")

    def __init__(
        self, paths: Iterable[str], *, side: int, whole: Iterable[str]
    ) -> None:
        super().__init__(paths)
        self.whole: Carry = Carry(whole)
        self._side = side
        self._names = {
            text: path_hash(text) for text in (*self.paths, *self.whole.paths)
        }

    def base(
        self,
        entity: dict[str, Any],
        former: bytes | None = None,
        there: dict[str, Any] | None = None,
    ) -> bytes:
        """The base once ``entity`` is written.

        Args:
            entity: What is written, as the source says it; other paths stay as agreed.
            former: The base so far.
            there: The target's record as it was, of one that is adopted: what is not
                written counts as agreed.
        """
        agreed = _load(former)
        if former is None and there is not None:
            for text, value in self.whole.values(there).items():
                agreed[self._names[text]] = self._pair(_UNKNOWN, _hash(value))
        for text, value in self.whole.values(entity).items():
            agreed[self._names[text]] = [_hash(value)] * 2
        return _dump(agreed)

    def stored(
        self, base: bytes, there: dict[str, Any], paths: Iterable[str]
    ) -> tuple[bytes, bool]:
        """The base once the target told what it holds now, and whether that is an echo.

        Args:
            base: As it was when the intent was encoded.
            there: The target's record after the write.
            paths: What was written.

        Returns:
            The base, and True if all the rest is as it was when both agreed. If not,
            somebody edited the target, and the opposite flow has to look.
        """
        agreed, written, echo = _load(base), set(paths), True
        for text, value in self.whole.values(there).items():
            entry = agreed.get(self._names[text])
            if text in written:
                source = entry[self._side] if entry else _UNKNOWN
                agreed[self._names[text]] = self._pair(source, _hash(value))
            elif entry is None or entry[1 - self._side] != _hash(value):
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
        if base is None or not base.startswith(_FORM):
            return frozenset()
        agreed, mine = _load(base), set(self.paths)
        return frozenset(
            text
            for text, value in self.whole.values(entity).items()
            if text not in mine
            and (entry := agreed.get(self._names[text])) is not None
            and entry[self._side] not in (_UNKNOWN, _hash(value))
        )

    def changed(self, entity: dict[str, Any], base: bytes | None) -> tuple[str, ...]:
        """See `Carry.changed`."""
        said = tuple(self.values(entity))
        found = self.differing(entity, base)
        return tuple(text for text in said if text in found) or said

    def moved(self, entity: dict[str, Any], base: bytes | None, head: str) -> bool:
        """See `Carry.moved`."""
        if base is None or not base.startswith(_FORM):
            return False
        return any(_head(text) == head for text in self.differing(entity, base))

    def _differing(
        self, entity: dict[str, Any], base: bytes | None, side: int
    ) -> frozenset[str]:
        agreed = _load(base)
        return frozenset(
            text
            for text, value in self.whole.values(entity).items()
            if (entry := agreed.get(self._names[text])) is None
            or entry[side] != _hash(value)
        )

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


def _load(base: bytes | None) -> _Agreed:
    if base is None or not base.startswith(_FORM):
        return {}
    step, rest = 3 * _WIDTH, base[len(_FORM) :]
    return {
        rest[at : at + _WIDTH]: [
            rest[at + _WIDTH : at + 2 * _WIDTH],
            rest[at + 2 * _WIDTH : at + step],
        ]
        for at in range(0, len(rest), step)
    }


def _dump(agreed: _Agreed) -> bytes:
    entries = (name + a + b for name, (a, b) in sorted(agreed.items()))
    return _FORM + b"".join(entries)
