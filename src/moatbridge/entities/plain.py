"""What may stand in an entity: JSON without floats, clean text (entities 1, 4-6)."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Final

MAX_DEPTH: Final = 12
MAX_ENTRIES: Final = 10_000
MAX_KEYS: Final = 2_000
MAX_TEXT: Final = 10_000
BIGGEST: Final = 2**53
"""Larger integers are not safe in JSON and travel as strings."""

_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\ud800-\udfff]")
_FORBIDDEN_IN_LINES: Final = re.compile(r"[\x00-\x08\x0b-\x1f\ud800-\udfff]")


class Fault(ValueError):
    """Why a value was refused, in words that are safe to show.

    Converters raise it (any other `ValueError` is reported without its text, which
    may repeat the value).
    """


def text(value: object, *, multiline: bool = False, limit: int = MAX_TEXT) -> str:
    """The text in Unicode's composed form (NFC).

    Raises:
        Fault: Not text, too long, NUL, control character or lone surrogate.
    """
    if not isinstance(value, str):
        raise Fault(f"not text but {type(value).__name__}")
    if len(value) > limit:
        raise Fault(f"too-large: over {limit} characters")
    if value.isascii() and value.isprintable():
        return value
    wrong = (_FORBIDDEN_IN_LINES if multiline else _FORBIDDEN).search(value)
    if wrong and wrong.group() in "\t\r\n" and not multiline:
        raise Fault("line-break: a line break or tab in a text of one line")
    if wrong:
        raise Fault("a control character or lone surrogate")
    return unicodedata.normalize("NFC", value)


def identifier(value: object, *, limit: int = MAX_TEXT) -> str:
    """Like `text`, without invisible and bidirectional control characters (Cf).

    Raises:
        Fault: See `text`.
    """
    clean = text(value, limit=limit)
    if clean.isascii():
        return clean
    return "".join(each for each in clean if unicodedata.category(each) != "Cf")


def boolean(value: object) -> bool:
    """The value, if it is a bool.

    Raises:
        Fault: It is not.
    """
    if isinstance(value, bool):
        return value
    raise Fault(f"not a bool but {type(value).__name__}")


def integer(value: object) -> int:
    """The value, if it is an integer that JSON can carry.

    Raises:
        Fault: It is not, or it is beyond 2^53.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise Fault(f"not an integer but {type(value).__name__}")
    if abs(value) > BIGGEST:
        raise Fault("an integer beyond 2^53; carry it as text")
    return value


def plain(value: object, *, limit: int = MAX_TEXT, depth: int = MAX_DEPTH) -> Any:
    """A checked deep copy of a JSON value.

    Raises:
        Fault: A float, another Python type, bad text, or over a limit (depth 12,
            10,000 entries, 2,000 keys).
    """
    if depth < 0:
        raise Fault(f"too-large: nested deeper than {MAX_DEPTH}")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return text(value, multiline=True, limit=limit)
    if isinstance(value, list):
        return _entries(value, limit, depth)
    if isinstance(value, dict):
        return _object(value, limit, depth)
    if isinstance(value, float):
        raise Fault("a float; carry decimals as text")
    return integer(value)


def _entries(value: list[Any], limit: int, depth: int) -> list[Any]:
    if len(value) > MAX_ENTRIES:
        raise Fault(f"too-large: over {MAX_ENTRIES} entries")
    return [plain(each, limit=limit, depth=depth - 1) for each in value]


def _object(value: dict[Any, Any], limit: int, depth: int) -> dict[str, Any]:
    if len(value) > MAX_KEYS:
        raise Fault(f"too-large: over {MAX_KEYS} keys")
    return {
        text(name, limit=limit): plain(each, limit=limit, depth=depth - 1)
        for name, each in value.items()
    }
