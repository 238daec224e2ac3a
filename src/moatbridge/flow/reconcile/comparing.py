"""An entity as a few short hashes: path by path, and once more with spelling ignored.

The hashes are Python's own: salted anew in every process and cheap, so a scratch file
of them tells nobody anything. Two values are equal if they mean the same: lists have no
order, empty is empty however it is said, a reference is the record it points at.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.entities.paths import Slot, parse
from moatbridge.ledger.keys import name_hash, path_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from moatbridge.entities.paths import Path
    from moatbridge.flow.carry import Carry

Prints = tuple[int, ...]
"""Two numbers a path: the value's hash, and that of the value whatever its spelling."""

EMPTY: Final = 0
SILENT: Final = 1
_WIDTH: Final = 0xFFFFFFFF
_MISSING: Final = object()


class Difference(NamedTuple):
    """How two entities differ: one bit a path.

    Args:
        compared: Both say something about it.
        alike: They differ in spelling only (letter case, spaces).
        differs: They differ.
    """

    compared: int
    alike: int
    differs: int

    @property
    def any(self) -> int:
        """Every path that is not equal."""
        return self.alike | self.differs


NOTHING: Final = Difference(0, 0, 0)


class Comparer:
    """Compares what a flow carries.

    Args:
        carry: The paths.
    """

    def __init__(self, carry: Carry) -> None:
        self.paths: tuple[str, ...] = carry.paths
        self._heads = _heads(carry.paths)
        self._nothing = {
            missing: [missing] * (2 * len(carry.paths)) for missing in (EMPTY, SILENT)
        }
        self._layout = struct.Struct(f"<{2 * len(carry.paths)}I")
        self.full: int = (1 << len(carry.paths)) - 1
        self._same = Difference(self.full, 0, 0)

    def prints(self, entity: dict[str, Any], *, whole: bool) -> Prints:
        """The hashes of an entity.

        Args:
            entity: What is hashed.
            whole: A path that it does not name is empty; else it says nothing of it.
        """
        found = self._nothing[EMPTY if whole else SILENT].copy()
        for name, paths in self._heads:  # most records say nothing of most of them
            held = entity.get(name, _MISSING)
            if held is _MISSING:
                continue
            for at, follow in paths:
                value = held if follow is None else follow(held)
                if type(value) is str:
                    found[at], found[at + 1] = _of_text(value)
                elif value is None:
                    found[at] = found[at + 1] = EMPTY
                elif value is not _MISSING:
                    found[at] = _short(_exact(value))
                    found[at + 1] = _short(_loose(value))
        return tuple(found)

    def difference(self, expected: Prints, there: Prints) -> Difference:
        """What differs between two entities."""
        if expected == there:  # nearly always
            return self._same
        compared = alike = differs = 0
        bit = 1
        for at in range(0, len(expected), 2):
            mine, theirs = expected[at], there[at]
            if SILENT not in (mine, theirs):
                compared |= bit
                if mine == theirs:
                    pass
                elif expected[at + 1] == there[at + 1] and EMPTY not in {mine, theirs}:
                    alike |= bit
                else:
                    differs |= bit
            bit <<= 1
        return Difference(compared, alike, differs)

    def names(self, bits: int) -> tuple[str, ...]:
        """The paths of these bits."""
        return tuple(self.paths[number] for number in numbers(bits))

    def pack(self, prints: Prints) -> bytes:
        """As bytes, for the scratch file."""
        return self._layout.pack(*prints)

    def unpack(self, packed: bytes) -> Prints:
        """What `pack` made."""
        return self._layout.unpack(packed)


class AgreedComparer(Comparer):
    """Compares with what was last delivered, of a source that tells everything once.

    A link keeps four bytes of each path as it was sent (`Carry.base`). They can say
    nothing about lists and references: those are silent.

    Args:
        carry: The paths.
        references: Entity paths that hold references.
    """

    def __init__(self, carry: Carry, references: Iterable[str]) -> None:
        super().__init__(carry)
        self._getters = [getter(text) for text in carry.paths]
        heads = {path.partition("[")[0] for path in references}
        self._silent = [path.startswith(tuple(heads)) for path in self.paths]
        self._blank = int.from_bytes(path_hash(None), "little")
        self._layout_hash = path_hash(self.paths)

    def prints(self, entity: dict[str, Any], *, whole: bool) -> Prints:
        """See `Comparer.prints`."""
        found: list[int] = []
        for get, silent in zip(self._getters, self._silent, strict=True):
            value = get(entity)
            if value is _MISSING and whole:
                value = None
            if silent or value is _MISSING or isinstance(value, list | dict):
                found += (SILENT, SILENT)
            else:
                number = int.from_bytes(path_hash(value), "little")
                found += (number, number)
        return tuple(found)

    def agreed(self, base: bytes | None) -> Prints:
        """The hashes that a link keeps; silent where it keeps none."""
        if base is None or base[:4] != self._layout_hash:
            return (SILENT,) * (2 * len(self.paths))
        found: list[int] = []
        for number, silent in enumerate(self._silent, start=1):
            held = int.from_bytes(base[4 * number : 4 * number + 4], "little")
            held = SILENT if silent or held == self._blank else held
            found += (held, held)
        return tuple(found)


def getter(text: str) -> Callable[[Any], Any]:
    """A function that finds a path's value in an entity; see `says_something`."""
    return _getter(parse(text))


def says_something(value: Any) -> bool:
    """Whether what a `getter` found is there, and not empty."""
    return value is not _MISSING and bool(value) and _exact(value) != EMPTY


def numbers(bits: int) -> Iterator[int]:
    """The numbers of the bits that are set."""
    number = 0
    while bits:
        if bits & 1:
            yield number
        bits >>= 1
        number += 1


def term(value: str) -> int:
    """What a value that identifies a record is looked up by, as 63 bits.

    As in `moatbridge.flow.adopt`, only ASCII letters compare without case.
    """
    return hash(value.lower() if value.isascii() else value) & 0x7FFFFFFFFFFFFFFF


def _getter(path: Path) -> Callable[[Any], Any]:
    """A function that finds a path's value in a complete entity.

    A list that lacks a slot's entry says that it is empty; `_MISSING` is what nothing
    is said of.
    """
    name, follow = path[0].name, _follower(path)
    if follow is None:
        return lambda entity: entity.get(name, _MISSING)

    def get(entity: Any) -> Any:
        value = entity.get(name, _MISSING)
        return value if value is _MISSING else follow(value)

    return get


def _heads(
    paths: Sequence[str],
) -> list[tuple[str, list[tuple[int, Callable[[Any], Any] | None]]]]:
    """Paths by their first name, each with its place among the hashes."""
    found: dict[str, list[tuple[int, Callable[[Any], Any] | None]]] = {}
    for number, text in enumerate(paths):
        path = parse(text)
        found.setdefault(path[0].name, []).append((2 * number, _follower(path)))
    return list(found.items())


def _follower(path: Path) -> Callable[[Any], Any] | None:
    """What leads on from the value of a path's first name; None: nothing, it is it."""
    first, rest = path[0], path[1:]
    slot = first.selector if isinstance(first.selector, Slot) else None
    if slot is None and not rest:
        return None
    after = _getter(rest) if rest else None
    follow = _any_follower(slot, after)
    if len(rest) != 1 or isinstance(rest[0].selector, Slot):
        return follow
    return _short_follower(slot, rest[0].name, follow)


def _short_follower(
    slot: Slot | None, member: str, otherwise: Callable[[Any], Any]
) -> Callable[[Any], Any]:
    """The two that nearly all paths are, without a detour: they are the hot path."""

    def nested(value: Any) -> Any:
        return value.get(member, _MISSING) if type(value) is dict else otherwise(value)

    def slotted(value: Any) -> Any:
        if type(value) is not list:
            return otherwise(value)
        for entry in value:
            if entry.get(name) == wanted:
                return entry.get(member, _MISSING)
        return None

    if slot is None:
        return nested
    name, wanted = slot
    return slotted


def _any_follower(
    slot: Slot | None, after: Callable[[Any], Any] | None
) -> Callable[[Any], Any]:
    def follow(value: Any) -> Any:
        if slot is not None and isinstance(value, list):
            name, wanted = slot
            value = next((e for e in value if e.get(name) == wanted), None)
        if after is None or value is None:
            return value
        if isinstance(value, dict):
            return after(value)
        if isinstance(value, list):
            return [after(each) for each in value if isinstance(each, dict)]
        return _MISSING

    return follow


def _short(number: int) -> int:
    return EMPTY if number == 0 else max(2, number & _WIDTH)


def _of_text(value: str) -> tuple[int, int]:
    """Both hashes of a text: most values are texts, so this is the hot path."""
    if not value:
        return EMPTY, EMPTY
    exact = hash(value) & _WIDTH
    folded = value.casefold()
    if "  " in folded or folded[0] == " " or folded[-1] == " ":
        folded = " ".join(folded.split())
    loose = hash(folded) & _WIDTH if folded != value else exact
    return exact if exact > 1 else 2, loose if loose > 1 else 2


def _exact(value: Any) -> int:
    if isinstance(value, str):
        return _of_text(value)[0]
    return _composed(value, _exact)


def _loose(value: Any) -> int:
    if isinstance(value, str):
        return _of_text(value)[1]
    return _composed(value, _loose)


def _composed(value: Any, part: Any) -> int:
    if value is None:
        return EMPTY
    if isinstance(value, dict):
        if "stream" in value and (held := value.get("id") or value.get("name")):
            return hash(name_hash(held)) if "=" in held else hash(held)
        return _all((name, part(each)) for name, each in value.items())
    if isinstance(value, list | tuple):
        return _all(("", part(each)) for each in value)
    return hash((value,))


def _all(parts: Any) -> int:
    """A hash that does not depend on the order; empty parts are as if not there."""
    return sum(hash(pair) for pair in parts if pair[1] != EMPTY)
