"""From what a storage refused to the errors the core knows how to recover from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge_sftp.places import shown

if TYPE_CHECKING:
    from moatbridge.errors import MoatbridgeError
    from moatbridge_sftp.storage import StorageFault

_ADVICE: Final = {
    "list": "Ask the owner for the right to list it.",
    "claim": (
        'If the account is only meant to read, set claim = "none" and after = "leave".'
    ),
    "read": "Ask the owner for the right to read its files.",
    "settle": (
        'Ask the owner for the right to move files, or set claim = "none" and '
        'after = "leave".'
    ),
    "publish": "Ask the owner for the right to write there.",
}


def typed(
    fault: StorageFault, doing: str, path: str, *, stream: str
) -> MoatbridgeError:
    """The error that a fault means.

    Args:
        fault: What the storage said.
        doing: ``list``, ``claim``, ``read``, ``settle`` or ``publish``.
        path: Of the folder concerned, never of a file.
        stream: Local name of the stream.
    """
    where = f"{shown(path)!r}"
    if fault.kind in ("denied", "unsupported"):
        return ConfigurationError(
            f"The account may not {doing} in folder {where}. {_ADVICE[doing]}",
            code="sftp.permission",
            stream=stream,
        )
    if fault.kind == "absent":
        return ConfigurationError(
            f"There is no folder {where}. Check `folder` and the base in `url`; "
            "`discover` lists what the account sees.",
            code="sftp.folder",
            stream=stream,
        )
    if fault.kind == "full":
        return NotApplied(
            f"The server has no room left in folder {where}; nothing was lost. Ask its "
            "owner to make room.",
            code="sftp.server-full",
            stream=stream,
        )
    return NotApplied(
        f"The server refused to {doing} in folder {where} without saying why (another "
        "file system, a quota, a name that is taken).",
        code="sftp.refused",
        stream=stream,
    )
