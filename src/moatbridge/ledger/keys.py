"""Hashes of the ledger: key hashes, source fingerprints, idempotency keys."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MAX_KEY_BYTES: Final = 512
"""Longer record keys are rejected (delivery 6)."""

MAX_PAYLOAD_BYTES: Final = 1024 * 1024
"""Records that say more than this are rejected (delivery 6)."""

_WIDEST: Final = 4
"""Bytes of one character at most."""

_HEX: Final = re.compile(r"[0-9A-Fa-f]{2}")
_UNPAIRED: Final = re.compile("[\ud800-\udfff]")


_PATH_BYTES: Final = 4
"""Of one path in ``link.base``."""


def key_hash(key: str) -> bytes:
    """Hash of a record key (`Ref.key`): the only thing the ledger indexes; 16 bytes."""
    return blake2b(key.encode(), digest_size=16).digest()


def storable(text: str) -> bool:
    """Whether a database can hold a text: no NUL, no lone surrogates.

    SQLite would take a NUL; it is refused all the same, so that a record fares alike
    wherever the ledger lies.
    """
    return "\0" not in text and (text.isascii() or not _UNPAIRED.search(text))


def made_storable(text: str) -> str:
    """The text with U+FFFD, which people see, for each character that is not kept."""
    return _UNPAIRED.sub("\ufffd", text).replace("\0", "\ufffd")


def kept_hash(key: str) -> bytes | None:
    """`key_hash` of a source's key; None for one that the ledger does not keep.

    It must be short enough, and text that a database can hold (`storable`).
    """
    if not storable(key):
        return None
    raw = key.encode()
    if len(raw) > MAX_KEY_BYTES:
        return None
    return blake2b(raw, digest_size=16).digest()


def keepable(payload: str) -> bool:
    """Whether a payload is small enough to be kept, and text that can be kept."""
    if "\0" in payload:
        return False
    if len(payload) * _WIDEST <= MAX_PAYLOAD_BYTES and payload.isascii():
        return True
    try:
        return len(payload.encode()) <= MAX_PAYLOAD_BYTES
    except UnicodeEncodeError:
        return False


def name_hash(name: str) -> bytes:
    """Hash of a mutable name.

    Two mentions of one DN differ in case, in spaces around separators and in escapes
    (RFC 4514); any other name is taken as it is.
    """
    return key_hash(_normal_dn(name) if "=" in name else name)


def _normal_dn(name: str) -> str:
    """One spelling per DN, in one pass: RDNs joined by NUL, which none can contain."""
    parts: list[list[str]] = [[]]
    at, end = 0, len(name)
    while at < end:
        char = name[at]
        if char == "\\" and at + 1 < end:
            pair = name[at + 1 : at + 3]
            escaped = _HEX.fullmatch(pair) is not None
            # A sign that no bare character shares keeps an escaped comma apart.
            parts[-1].append("\x01" + (pair.lower() if escaped else _hex(pair[0])))
            at += 3 if escaped else 2
            continue
        if char in ",;":
            parts.append([])
        else:
            parts[-1].append(char)
        at += 1
    return "\0".join(_normal_rdn("".join(part)) for part in parts)


def _normal_rdn(text: str) -> str:
    kind, equals, value = text.partition("=")
    return f"{kind.strip()}{equals}{value.strip()}".casefold()


def _hex(char: str) -> str:
    return char.encode().hex()


def path_hash(value: Any) -> bytes:
    """Four bytes that stand for one path's value in ``link.base`` (delivery 48)."""
    text = to_json(value, bytes_mode="base64")
    return blake2b(text, digest_size=_PATH_BYTES).digest()


_NO_VALUE: Final = path_hash(None)


def path_hashes(values: Iterable[Any], missing: Any) -> list[bytes]:
    """`path_hash` of each, and that of null for what is ``missing``."""
    hashed, text = blake2b, to_json
    return [
        _NO_VALUE
        if value is missing
        else hashed(text(value, bytes_mode="base64"), digest_size=_PATH_BYTES).digest()
        for value in values
    ]


def fingerprinter(version: str) -> Callable[[str, str | None, Sequence[Any]], bytes]:
    """Make the function that fingerprints source records (delivery 15).

    Args:
        version: Version of the compiled translator; part of every fingerprint.

    Returns:
        A function of (key, name, projected values) that gives 16 bytes. The values
        come in the translator's own fixed order, unordered lists sorted already.
    """
    seed = blake2b(version.encode(), digest_size=16)

    def fingerprint(key: str, name: str | None, values: Sequence[Any]) -> bytes:
        state = seed.copy()
        state.update(_json((key, name, values)))
        return state.digest()

    return fingerprint


def batch_hasher(
    version: str,
) -> Callable[
    [Sequence[str], Sequence[str | None], Sequence[Sequence[Any]]],
    tuple[list[bytes], list[bytes]],
]:
    """Make the function that hashes a whole batch in one loop (design 0033).

    Args:
        version: As for `fingerprinter`.

    Returns:
        A function of the keys, names and projected values of records, in one order. It
        gives their `kept_hash` and their fingerprints; or raises, whatever it meets,
        where one of them has none that can be. It does not look for NUL in the keys.
    """
    seed = blake2b(version.encode(), digest_size=16)

    def hashed(
        keys: Sequence[str],
        names: Sequence[str | None],
        values: Sequence[Sequence[Any]],
    ) -> tuple[list[bytes], list[bytes]]:
        raws = list(map(str.encode, keys))
        if max(map(len, raws), default=0) > MAX_KEY_BYTES:
            raise ValueError
        ks = [blake2b(raw, digest_size=16).digest() for raw in raws]
        fps, copy, json = [], seed.copy, to_json
        for record in zip(keys, names, values, strict=True):
            state = copy()
            state.update(json(record, bytes_mode="base64"))
            fps.append(state.digest())
        return ks, fps

    return hashed


def idempotency_key(*parts: str | int | bytes | None, after: bytes = b"") -> str:
    """26 lower-case base32 characters over length-prefixed parts (delivery 14).

    Never from time, never random, never per attempt: computed once and stored.

    Args:
        parts: What the key stands for.
        after: `prefixed` of the parts that come before these.
    """
    return _base32(blake2b(after + prefixed(*parts), digest_size=16).digest())


def prefixed(*parts: str | int | bytes | None) -> bytes:
    """The parts of a key one behind the other, each with its length before it."""
    said: list[bytes] = []
    for part in parts:
        raw = part if isinstance(part, bytes) else str(part).encode()
        said += (_lengths(len(raw)), raw)
    return b"".join(said)


@lru_cache(maxsize=1024)
def _lengths(size: int) -> bytes:
    return size.to_bytes(4, "big")


_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS: Final = tuple(first + second for first in _LETTERS for second in _LETTERS)
_SHIFTS: Final = range(120, -1, -10)


def _base32(digest: bytes) -> str:
    """RFC 4648 in lower case without padding, of 16 bytes: ten bits at a time."""
    number = int.from_bytes(digest, "big") << 2
    pairs = _PAIRS
    return "".join([pairs[number >> shift & 1023] for shift in _SHIFTS])


def _json(value: Any) -> bytes:
    return to_json(value, bytes_mode="base64")
