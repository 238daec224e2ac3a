"""Names that come from outside: which are safe, and how they are shown. Pure.

No name from a server ever becomes a path of this machine; these rules keep names out
that would still do harm further on: in a path sent back, on a terminal, in a report.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from moatbridge.errors import ConfigurationError

LONGEST: Final = 255
_SHOWN: Final = 80
_CONTROLS: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
                         "\u2066\u2067\u2068\u2069")  # fmt: skip


def decode_name(raw: bytes) -> str | None:
    """The text of a name: UTF-8, else cp1252; None if it must not be used.

    Refused: empty, ``.``, ``..``, over 255 bytes, with ``/``, NUL, control, line
    separator or bidirectional characters, or in no known encoding.
    """
    if not raw or len(raw) > LONGEST or raw in {b".", b".."} or b"/" in raw:
        return None
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        try:
            name = raw.decode("cp1252")
        except UnicodeDecodeError:
            return None
    return name if is_safe(name) else None


def is_safe(name: str) -> bool:
    """Whether a name has only characters that a report and a terminal can show."""
    if name.isascii():
        return name.isprintable()
    return not any(
        char in _BIDI or unicodedata.category(char) in _CONTROLS for char in name
    )


def show_name(raw: bytes) -> str:
    """A name for reports: escaped, at most 80 characters."""
    text = raw[: LONGEST + 1].decode("utf-8", "backslashreplace")
    shown = "".join(char if is_safe(char) else _escape(char) for char in text)
    return shown if len(shown) <= _SHOWN else shown[: _SHOWN - 3] + "..."


def split_path(path: str) -> list[str]:
    """The parts of a path below the base; ``.`` has none.

    Raises:
        ConfigurationError: ``sftp.path``: absolute, with ``..``, or an unusable name.
    """
    parts = [part for part in path.split("/") if part not in {"", "."}]
    wrong = path.startswith("/") or "\0" in path or ".." in parts
    if wrong or any(len(part.encode("utf-8", "replace")) > LONGEST for part in parts):
        words = (
            "A path must be relative to the base of `url`, without `..`, each name at "
            f"most {LONGEST} bytes; check the folders and file names of the stream."
        )
        raise ConfigurationError(words, code="sftp.path")
    return parts


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
