"""LDAP messages: requests to bytes, bytes to answers (RFC 4511 4). Pure.

Search entries are most of all traffic, so `entry` walks the buffer itself, once, and
keeps only attributes that were asked for. Each nested element must end exactly where
its container says; otherwise the session is of no more use (``ldap.protocol``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge_ldap.wire import filters
from moatbridge_ldap.wire.ber import (
    ENUMERATED,
    INTEGER,
    OCTETS,
    SEQUENCE,
    SET,
    Reader,
    boolean,
    header,
    integer,
    octets,
    sequence,
    tlv,
    utf8,
)
from moatbridge_ldap.wire.errors import protocol
from moatbridge_ldap.wire.port import (
    AddEntry,
    DeleteEntry,
    Done,
    Entry,
    Info,
    Message,
    ModifyEntry,
    Reference,
    RenameEntry,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from moatbridge_ldap.wire.port import Control, Operation, SearchRequest

BIND_DONE: Final = 0x61
ENTRY: Final = 0x64
SEARCH_DONE: Final = 0x65
REFERENCE: Final = 0x73
EXTENDED_DONE: Final = 0x78
INFO: Final = 0x79
CONTROLS: Final = 0xA0
DONE_TAGS: Final = frozenset(
    {BIND_DONE, SEARCH_DONE, 0x67, 0x69, 0x6B, 0x6D, 0x6F, EXTENDED_DONE}
)
OPERATION_DONE: Final = {
    AddEntry: 0x69, ModifyEntry: 0x67, RenameEntry: 0x6D, DeleteEntry: 0x6B,
}  # fmt: skip

_SUCCESS: Final = b"\x0a\x01\x00\x04\x00\x04\x00"
"""The body of nearly every result."""
_ACTIONS: Final = tuple(integer(action, ENUMERATED) for action in range(4))

MAX_MESSAGE: Final = 64 << 20
MAX_ENTRY: Final = 32 << 20
MAX_VALUES: Final = 1_000_000
MAX_CONTROLS: Final = 32
MAX_NAMES: Final = 4096
MAX_DN: Final = 65536


class Names(dict[bytes, str | None]):
    """Attribute names by their bytes: what was asked for, in our spelling.

    None means: not asked for, drop it. Names compare without case. An answer to
    ``member`` may be called ``member;range=0-1499`` ([MS-ADTS] 3.1.1.3.1.3.3); that
    becomes our spelling plus the option.
    """

    def __init__(self, wanted: Iterable[str]) -> None:
        super().__init__()
        bare = (name.partition(";range=")[0] for name in wanted)
        self._wanted = {name.lower(): name for name in bare}

    def __missing__(self, raw: bytes) -> str | None:
        name = utf8(raw).lower()
        bare, option, interval = name.partition(";range=")
        if option and bare in self._wanted:
            return f"{self._wanted[bare]};range={interval}"
        found = self._wanted.get(name)
        if len(self) < MAX_NAMES:
            self[raw] = found
        return found


def frame(message_id: int, operation: bytes, controls: Sequence[Control] = ()) -> bytes:
    """A whole LDAPMessage."""
    return framed(message_id, operation, listed(controls))


def framed(message_id: int, operation: bytes, controls: bytes) -> bytes:
    """A whole LDAPMessage; the controls are encoded already, see `listed`."""
    return tlv(SEQUENCE, integer(message_id) + operation + controls)


def listed(controls: Sequence[Control]) -> bytes:
    """Request controls as they stand at the end of a message."""
    if not controls:
        return b""
    parts = [
        sequence(
            octets(control.oid),
            boolean(value=True) if control.critical else b"",
            b"" if control.value is None else octets(control.value),
        )
        for control in controls
    ]
    return sequence(*parts, tag=CONTROLS)


def search(request: SearchRequest) -> bytes:
    """A SearchRequest; ``neverDerefAliases``, values and types."""
    return sequence(
        octets(request.base),
        integer(request.scope, ENUMERATED),
        integer(0, ENUMERATED),
        integer(request.size_limit),
        integer(0),
        boolean(value=False),
        filters.encode(request.filter),
        sequence(*map(octets, request.attributes)),
        tag=0x63,
    )


def operation(request: Operation) -> bytes:
    """An add, modify, modifyDN or delete request."""
    match request:
        case AddEntry():
            held = b"".join(
                [_attribute_of(name, vs) for name, vs in request.attributes.items()]
            )
            return tlv(0x68, octets(request.dn) + tlv(SEQUENCE, held))
        case ModifyEntry():
            items = [
                tlv(SEQUENCE, _ACTIONS[action] + _attribute_of(name, held))
                for action, name, held in request.items
            ]
            return tlv(0x66, octets(request.dn) + tlv(SEQUENCE, b"".join(items)))
        case RenameEntry():
            above = b"" if request.parent is None else octets(request.parent, 0x80)
            return sequence(
                octets(request.dn),
                octets(request.rdn),
                boolean(value=True),
                above,
                tag=0x6C,
            )
        case DeleteEntry():
            return octets(request.dn, 0x4A)


def _attribute_of(name: str, held: Sequence[bytes]) -> bytes:
    head = octets(name)
    if len(held) == 1:
        value = held[0]
        size = len(value)
        if (whole := len(head) + size + 4) < 0x80:  # noqa: PLR2004 - short form
            return b"0%c%b1%c\x04%c%b" % (whole, head, size + 2, size, value)
    return tlv(SEQUENCE, head + tlv(SET, b"".join(map(octets, held))))


def extended(oid: str, value: bytes | None) -> bytes:
    """An ExtendedRequest."""
    return sequence(
        octets(oid, 0x80), b"" if value is None else octets(value, 0x81), tag=0x77
    )


def abandon(message_id: int) -> bytes:
    """An AbandonRequest, which has no answer."""
    return integer(message_id, 0x50)


UNBIND: Final = tlv(0x42, b"")


def message_end(buf: bytes, at: int) -> int | None:
    """Where the LDAPMessage that starts at ``at`` ends; None if too little is there.

    Raises:
        NotApplied: ``ldap.protocol``: not an LDAPMessage, or longer than 64 MiB. That
            is known from its header, before more is read.
    """
    if len(buf) - at < 2:  # noqa: PLR2004 - tag and length
        return None
    if buf[at] != SEQUENCE:
        raise protocol("a message that does not start with a SEQUENCE")
    length = buf[at + 1]
    start = at + 2
    if length & 0x80:
        count = length & 0x7F
        if not 0 < count <= 4:  # noqa: PLR2004 - bytes of a length
            raise protocol("an indefinite or oversized length")
        start += count
        if len(buf) < start:
            return None
        length = int.from_bytes(buf[at + 2 : start], "big")
    if length > MAX_MESSAGE:
        raise protocol("a message longer than 64 MiB")
    return start + length


def split(buf: bytes, at: int, end: int) -> tuple[int, int, int, int]:
    """Cut a whole message: message id, tag, start and end of the operation."""
    start = buf[at + 1]
    inner = at + 2 + (start & 0x7F if start & 0x80 else 0)
    size = buf[inner + 1]
    start = inner + 2
    after = start + size
    if buf[inner] != INTEGER or not 0 < size <= 4 or after > end:  # noqa: PLR2004
        raise protocol("a message without an id")
    message_id = int.from_bytes(buf[start:after], "big", signed=True)
    kind, start, after_op = header(buf, after, end)
    return message_id, kind, start, after_op


def decode(
    buf: bytes, kind: int, start: int, stop: int, end: int, names: Names | None
) -> Message:
    """One answer.

    Args:
        buf: Where the whole message lies.
        kind: Tag of the operation.
        start: Start of the operation's body.
        stop: Its end; controls may follow.
        end: End of the message.
        names: For entries: the attributes to keep.
    """
    controls = _controls(buf, stop, end) if stop < end else {}
    if kind == ENTRY:
        if names is None or stop - start > MAX_ENTRY:
            raise protocol("an entry that nobody asked for, or of over 32 MiB")
        return entry(buf, start, stop, names, controls)
    if kind in DONE_TAGS and buf[start:stop] == _SUCCESS:
        return Done(kind, 0, controls=controls)
    reader = Reader(buf, start, stop)
    if kind == REFERENCE:
        urls = []
        while reader.more():
            urls.append(reader.text())
        return Reference(tuple(urls))
    if kind == INFO:
        return _info(reader)
    if kind not in DONE_TAGS:
        raise protocol(f"an answer of unknown kind 0x{kind:02x}")
    return _done(reader, kind, controls)


def entry(
    buf: bytes, at: int, end: int, names: Names, controls: dict[str, bytes]
) -> Entry:
    """A SearchResultEntry (RFC 4511 4.5.2), attributes not in ``names`` dropped."""
    dn, at = _head(buf, at, end)
    attributes: dict[str, list[bytes]] = {}
    duplicate = None
    count = 0
    while at < end:
        raw, held, name_at = b"", None, at + 4
        # Nearly all attributes are shorter than 128 bytes and hold one value: those
        # are cut by sums alone. Whatever looks different takes the general way.
        if name_at < end and buf[at + 1] < 0x80 and buf[at + 3] < 0x80:  # noqa: PLR2004
            after = at + 2 + buf[at + 1]
            stop = name_at + buf[at + 3]
            if (
                stop + 4 <= after <= end
                and stop + 2 + buf[stop + 1] == after
                and stop + 4 + buf[stop + 3] == after
                and buf[at] == SEQUENCE
                and buf[at + 2] == OCTETS
                and buf[stop] == SET
                and buf[stop + 2] == OCTETS
            ):
                raw, at = buf[name_at:stop], after
                held = [buf[stop + 4 : after]]
        if held is None:
            raw, start, at = _attribute(buf, at, end)
            held = values(buf, start, at)
        name = names[raw]
        if name is not None:
            count += len(held)
            if name in attributes:
                duplicate = name
            attributes[name] = held
    if count > MAX_VALUES:
        raise protocol("an entry of over a million values")
    return Entry(dn, attributes, duplicate, controls)


def _head(buf: bytes, at: int, end: int) -> tuple[str, int]:
    """An entry's name, and where its attributes start; they reach to ``end``."""
    tag, start, at = header(buf, at, end)
    if tag != OCTETS or at - start > MAX_DN:
        raise protocol("an entry without a usable name")
    dn = utf8(buf[start:at])
    tag, at, stop = header(buf, at, end)
    if tag != SEQUENCE or stop != end:
        raise protocol("an entry of the wrong shape")
    return dn, at


def _attribute(buf: bytes, at: int, end: int) -> tuple[bytes, int, int]:
    """Cut one attribute of any length: its name, and where its values lie."""
    tag, at, after = header(buf, at, end)
    name_tag, start, stop = header(buf, at, after)
    set_tag, at, last = header(buf, stop, after)
    if (tag, name_tag, set_tag) != (SEQUENCE, OCTETS, SET) or last != after:
        raise protocol("an attribute of the wrong shape")
    return buf[start:stop], at, after


def values(buf: bytes, at: int, end: int) -> list[bytes]:
    """The values in the body of a set.

    Raises:
        NotApplied: ``ldap.protocol``: malformed.
    """
    found = []
    while at < end:
        if at + 2 > end or buf[at] != OCTETS:
            raise protocol("a value of the wrong shape")
        size = buf[at + 1]
        if size < 0x80:  # noqa: PLR2004 - short form
            start = at + 2
            at = start + size
            if at > end:
                raise protocol("a value reaches beyond its attribute")
        else:
            _, start, at = header(buf, at, end)
        found.append(buf[start:at])
    return found


def _controls(buf: bytes, at: int, end: int) -> dict[str, bytes]:
    tag, at, stop = header(buf, at, end)
    if tag != CONTROLS or stop != end:
        raise protocol("trailing bytes in a message")
    found: dict[str, bytes] = {}
    while at < end:
        if len(found) == MAX_CONTROLS:
            raise protocol(f"more than {MAX_CONTROLS} controls")
        tag, start, at = header(buf, at, end)
        oid_tag, first, after = header(buf, start, at)
        if tag != SEQUENCE or oid_tag != OCTETS:
            raise protocol("a control of the wrong shape")
        oid = utf8(buf[first:after])
        if after < at and buf[after] == OCTETS:  # nearly all
            _, first, after = header(buf, after, at)
            found[oid] = buf[first:after]
            if after != at:
                raise protocol("trailing bytes in an element")
        else:
            found[oid] = _value_of_control(Reader(buf, after, at))
    return found


def _value_of_control(control: Reader) -> bytes:
    if control.peek() == 0x01:
        control.boolean()
    value = control.optional(OCTETS) or b""
    control.finish()
    return value


def _info(reader: Reader) -> Info:
    oid = utf8(reader.optional(0x80) or b"")
    value = reader.optional(0x81) or b""
    reader.finish()
    return Info(oid, value)


def _done(reader: Reader, kind: int, controls: dict[str, bytes]) -> Done:
    code = reader.integer(ENUMERATED)
    matched = reader.text()
    # Free text: some servers send other encodings here, and we never show it.
    text = reader.expect(OCTETS).decode("utf-8", "replace")
    urls = []
    if reader.peek() == 0xA3:  # noqa: PLR2004 - referral
        referral = reader.inside(0xA3)
        while referral.more():
            urls.append(referral.text())
    if kind == BIND_DONE:
        reader.optional(0x87)
    oid, value = "", None
    if kind == EXTENDED_DONE:
        oid = utf8(reader.optional(0x8A) or b"")
        value = reader.optional(0x8B)
    reader.finish()
    return Done(kind, code, matched, text, tuple(urls), controls, oid, value)
