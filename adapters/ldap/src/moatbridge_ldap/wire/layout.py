r"""Entries that look alike, read by one regular expression each. Pure.

The entries of a stream come from one server and were made by few tools, so nearly all
carry the same attributes in the same order, with one short value each. Such an order is
a `Layout`; its pattern reads a whole entry in one call, at the speed of C.

Why it is exact: a length byte in BER says where its element ends, so the pattern has
one alternative for each length (``\x05.{5}``, ``\x06.{6}`` ...), with the lengths of
what is nested in it. What it matches is well formed to the last byte, and no value can
look like syntax. The three lengths that reach over the whole entry are compared in
code. Nothing can be matched in two ways, so a hostile server cannot make it slow.

What does not fit (a long value, another order, anything odd) is left to the reader in
`messages`, which judges it. Layouts are learned from what that reader had to take.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.errors import MoatbridgeError
from moatbridge_ldap.wire import messages
from moatbridge_ldap.wire.ber import OCTETS, SET, header, octets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moatbridge_ldap.wire.messages import Names
    from moatbridge_ldap.wire.port import Message, SearchStream

    _Read = Callable[[bytes, int, bytes, list[Any]], int]
    _Key = tuple[bool, tuple[bytes, ...]]  # form of lengths, names

LONGEST: Final = 127
"""Bytes of an attribute that a pattern reads: what one length byte can say."""
MOST: Final = 64
"""Attributes in a layout."""
SAMPLE: Final = 8
"""Every which entry without a layout is looked at."""
ENOUGH: Final = 32
"""Samples of one order that make it a layout: it costs as much as 1,500 entries."""
LAYOUTS: Final = 4
ORDERS: Final = 64
HEAD: Final = 5
"""Groups before the attributes: lengths, the message's id and the entry's name."""
_LENGTH: Final = rb"([\x00-\x7f]|\x81.|\x82..|\x83...|\x84....)"
_LONG: Final = b"\x84\x00\x00\x00"
_MAX_SIZES: Final = 4096


class Cell(NamedTuple):
    """One attribute of a layout.

    Args:
        raw: Its name as the server spells it.
        name: Our spelling; None if nobody asked for it.
        listed: Any number of values; else exactly one, not empty.
        skip: Bytes of a group before the value, if there is one; else before the set.
    """

    raw: bytes
    name: str | None
    listed: bool
    skip: int


class Layout(NamedTuple):
    """An order of attributes, each of which may be missing.

    Groups of the pattern: length of the message, its id, length of the operation, the
    entry's name with its length byte, length of the attributes; then one per cell.
    """

    cells: tuple[Cell, ...]
    pattern: re.Pattern[bytes]


class Layouts:
    """The layouts of one stream, learned while it is read.

    Args:
        names: Attributes to keep.
        textual: Those of them in which NUL is no character.
        build: Compiles what turns the groups of a match into a result. That may say
            None or raise ValueError, to let the general reader judge.
    """

    def __init__(
        self,
        names: Names,
        build: Callable[[Layout], Callable[..., Any]],
        textual: frozenset[str] = frozenset(),
    ) -> None:
        self._names = names
        self._textual = textual
        self._build = build
        self._readers: dict[_Key, _Read] = {}
        self._orders: dict[_Key, tuple[int, frozenset[bytes]]] = {}
        self._missed = 0
        self._left = LAYOUTS

    def take(self, buf: bytes, at: int, number: bytes, found: list[Any]) -> int:
        """Read entries that lie whole in the buffer, as long as they fit a layout.

        Args:
            buf: Received bytes.
            at: Where a message starts.
            number: Body of the message id that the entries must have.
            found: Results are appended here.

        Returns:
            Where the first message starts that is not read.
        """
        stopped = None  # the reader that has just met what does not fit it
        going = True
        while going:
            going = False
            for reader in self._readers.values():
                end = at if reader is stopped else reader(buf, at, number, found)
                if end > at:
                    going, at, stopped = True, end, reader
        if at == len(buf):
            return at
        self._missed += 1
        if self._left and self._missed % SAMPLE == 0:
            self._learn(buf, at)
        return at

    def _learn(self, buf: bytes, at: int) -> None:
        """Look at the message that did not fit."""
        try:
            seen = sample(buf, at)
        except (MoatbridgeError, IndexError):
            return
        if seen is None:
            return
        key = seen.long, seen.order
        count, listed = self._orders.get(key, (0, frozenset()))
        if not count and len(self._orders) == ORDERS:
            return
        self._orders[key] = count + 1, listed | seen.listed
        if count + 1 == ENOUGH:
            self._add(key, seen._replace(listed=listed | seen.listed))

    def _add(self, key: _Key, seen: Seen) -> None:
        self._left -= 1
        layout = compiled(seen, self._names, self._textual)
        if layout is None:
            return
        for old in [old for old in self._readers if _part_of(old, key)]:
            del self._readers[old]
        self._readers[key] = _reader(layout, self._build(layout))


def reading(
    stream: SearchStream, layouts: Layouts | None, found: list[Any]
) -> Iterator[Message]:
    """The answers to a search; what fits a layout goes straight to ``found``."""
    if layouts is None:
        yield from stream
        return
    found += stream.read(layouts)
    for message in stream:
        yield message
        found += stream.read(layouts)


class Seen(NamedTuple):
    """What one entry looks like.

    Args:
        order: Its attributes' names, as the server spells them.
        listed: Those that have other than one value.
        long: Lengths of attributes take five bytes, as Active Directory writes them.
    """

    order: tuple[bytes, ...]
    listed: frozenset[bytes]
    long: bool


def sample(buf: bytes, at: int) -> Seen | None:
    """Look at an entry; None if none lies there whole, or one that is no model.

    Raises:
        NotApplied: ``ldap.protocol``: malformed.
    """
    end = messages.message_end(buf, at)
    if end is None or end > len(buf):
        return None
    _, kind, at, end_of_entry = messages.split(buf, at, end)
    if kind != messages.ENTRY or end_of_entry != end:
        return None
    _, _, at = header(buf, at, end)
    _, at, _ = header(buf, at, end)
    order: list[bytes] = []
    listed, long = set(), False
    while at < end:
        long = long or buf[at + 1 : at + 5] == _LONG
        _, inner, after = header(buf, at, end)
        _, start, stop = header(buf, inner, after)
        _, first, _ = header(buf, stop, after)
        if after - inner > LONGEST or len(order) == MOST:
            return None
        order.append(buf[start:stop])
        if first == after or header(buf, first, after)[2] != after:
            listed.add(buf[start:stop])
        at = after
    return Seen(tuple(order), frozenset(listed), long)


def compiled(
    seen: Seen, names: Names, textual: frozenset[str] = frozenset()
) -> Layout | None:
    """The layout of entries that look so; None if they must not have one.

    Args:
        seen: Its ``listed`` may then have any number of values.
        names: Attributes to keep.
        textual: Those of them in which NUL is no character.
    """
    spelled = [names[raw] for raw in seen.order]
    kept = [name for name in spelled if name is not None]
    ranged = any(";range=" in name for name in kept)
    endless = max(map(len, seen.order), default=LONGEST) > LONGEST // 2
    if ranged or endless or len(set(kept)) < len(kept):
        return None
    parts, cells = [_HEAD], []
    for raw, name in zip(seen.order, spelled, strict=True):
        cell = _cell(raw, name, listed=raw in seen.listed, long=seen.long)
        cells.append(cell)
        any_byte = name not in textual
        parts.append(_attribute(cell, long=seen.long, any_byte=any_byte))
    return Layout(tuple(cells), re.compile(b"".join(parts), re.DOTALL))


def values(group: bytes, skip: int) -> list[bytes]:
    """The values in a group of a listed cell.

    Raises:
        NotApplied: ``ldap.protocol``: malformed.
    """
    tag, start, stop = header(group, skip, len(group))
    if tag != SET or stop != len(group):
        raise ValueError("an attribute of the wrong shape")
    return messages.values(group, start, stop)


def _cell(raw: bytes, name: str | None, *, listed: bool, long: bool) -> Cell:
    before_set = 1 + len(octets(raw))
    before_value = before_set + 2 + len(_LONG if long else b"") + 2
    return Cell(raw, name, listed, before_set if listed else before_value)


def _attribute(cell: Cell, *, long: bool, any_byte: bool) -> bytes:
    """The pattern of one attribute; its group starts at the last byte of its length."""
    more, name = _LONG if long else b"", octets(cell.raw)
    byte = b"." if any_byte else b"[^\\x00]"
    alternatives = []
    for size in range(len(name) + 2, LONGEST + 1):  # of the attribute
        value = size - cell.skip + 1
        if cell.listed:
            body = b".{%d}" % size  # its set is looked into later
        elif value > 0:
            lengths = more + bytes((value + 2, OCTETS, value))
            body = b".{%d}1%b%b{%d}" % (len(name), re.escape(lengths), byte, value)
        else:
            continue
        alternatives.append(re.escape(bytes((size,))) + body)
    ahead = b"(?=%b.%b)" % (re.escape(more), re.escape(name))
    return b"(?:0%b%b(%b))?" % (ahead, re.escape(more), b"|".join(alternatives))


class _Sizes(dict[bytes, int]):
    """Lengths by their bytes, whatever form the server wrote them in."""

    def __missing__(self, raw: bytes) -> int:
        size = int.from_bytes(raw[1:], "big") if raw[0] & 0x80 else raw[0]
        if len(self) < _MAX_SIZES:
            self[raw] = size
        return size


def _part_of(some: _Key, others: _Key) -> bool:
    """Whether all of some are among the others, in that order and the same form."""
    rest = iter(others[1])
    return some[0] == others[0] and all(one in rest for one in some[1])


def _reader(layout: Layout, make: Callable[..., Any]) -> _Read:
    """The loop over messages of one layout: the hot spot of every scan."""
    match, sizes = layout.pattern.match, _Sizes()

    def read(buf: bytes, at: int, number: bytes, found: list[Any]) -> int:
        while (hit := match(buf, at)) is not None:
            end, groups = hit.end(), hit.groups()
            if (
                groups[1] != number
                or end - hit.end(1) != sizes[groups[0]]
                or end - hit.end(3) != sizes[groups[2]]
                or end - hit.end(5) != sizes[groups[4]]
            ):
                break
            try:
                made = make(*groups)
            except (ValueError, MoatbridgeError):
                break
            if made is None:
                break
            found.append(made)
            at = end
        return at

    return read


_NAME: Final = b"|".join(
    re.escape(bytes((size,))) + b".{%d}" % size for size in range(1, LONGEST + 1)
)
_HEAD: Final = (
    b"0" + _LENGTH + rb"\x02(\x01.|\x02..|\x03...|\x04....)d" + _LENGTH
    + rb"\x04(" + _NAME + b")0" + _LENGTH
)  # fmt: skip
