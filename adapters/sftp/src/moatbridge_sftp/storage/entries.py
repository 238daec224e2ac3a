"""What both kinds of storage say about an entry and about a folder. Pure."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final

from moatbridge_sftp.wire.faults import misconfigured

if TYPE_CHECKING:
    from moatbridge.errors import ConfigurationError
    from moatbridge_sftp.storage.base import Kind

WORLD_WRITABLE: Final = "Everybody at the server may write into the base folder."


def too_many(limit: int) -> ConfigurationError:
    """A folder holds more than it may."""
    return misconfigured(
        "too-many-files",
        f"The folder holds more than {limit} entries, so nothing of it is taken. "
        "Archive old files, or raise `max_files`.",
    )


def forget_names(foreign: dict[str, bytes], prefix: str) -> None:
    """Forget the raw names of one folder (``""`` or ending with a slash).

    A new listing tells them anew; a server that invents names must not fill us up.
    """
    for path in [p for p in foreign if p.rpartition("/")[0] == prefix.rstrip("/")]:
        del foreign[path]


def kind_of(mode: int) -> Kind:
    """The kind of an entry, from the mode bits of POSIX."""
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else "other"
