"""Checksum side files: ``.sha256 .sha1 .md5 .crc32``, in the spellings that exist."""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING, Final

from moatbridge_sftp.formats.base import BadFile

if TYPE_CHECKING:
    from collections.abc import Mapping

_BSD: Final = re.compile(r"[A-Za-z0-9-]+ ?\((?P<name>.+)\) ?= ?(?P<hash>[0-9A-Fa-f]+)")
_GNU: Final = re.compile(r"\\?(?P<hash>[0-9A-Fa-f]+)(?:[ \t]+\*?(?P<name>.+))?")
_KINDS: Final = {8: "crc32", 32: "md5", 40: "sha1", 64: "sha256"}


def check_sum(side_file: bytes, data_name: str, digests: Mapping[str, str]) -> None:
    """Compare a side file with the digests of its data file.

    ``HASH``, ``HASH  name``, ``HASH *name`` and BSD style (``SHA256 (name) = HASH``),
    in upper or lower case. A name, where given, must be the data file's.

    Args:
        side_file: The side file's bytes.
        data_name: The data file's name, without folders.
        digests: Algorithm -> hex digest of the data file.

    Raises:
        BadFile: ``checksum``: it differs, names another file, or says nothing.
    """
    found = [_line(each) for each in _text(side_file).splitlines() if each.strip()]
    if not found or None in found:
        raise _bad("the checksum file holds no checksum we know")
    entries = [each for each in found if each is not None]
    mine = [hash_ for hash_, name in entries if name in {None, data_name}]
    if not mine:
        raise _bad("the checksum file is about another file name")
    for value in mine:
        kind = _KINDS.get(len(value))
        if kind is None or kind not in digests:
            raise _bad("the checksum file uses an algorithm that was not computed")
        if not hmac.compare_digest(value.lower(), digests[kind].lower()):
            raise _bad(f"the {kind} of the file is not the one its checksum file says")


def _text(side_file: bytes) -> str:
    return side_file.decode("utf-8", "replace").removeprefix("\ufeff")


def _line(text: str) -> tuple[str, str | None] | None:
    found = _BSD.fullmatch(text.strip()) or _GNU.fullmatch(text.strip())
    if found is None:
        return None
    name = found["name"]
    if name is not None:
        name = name.strip().replace("\\", "/").rpartition("/")[2]
    return found["hash"], name


def _bad(sentence: str) -> BadFile:
    return BadFile("checksum", f"{sentence}; ask the supplier to send both again")
