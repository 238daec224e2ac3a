"""What the supplier is told about a file: an acknowledgement, and its rejects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge_sftp.formats.base import Bad
    from moatbridge_sftp.pickup.choosing import Candidate
    from moatbridge_sftp.pickup.contents import Contents
    from moatbridge_sftp.pickup.cursor import Finished


def acknowledgement(one: Finished) -> bytes:
    """The ``ack_file``: counts and totals of a file that was taken over.

    Taken over means that our ledger holds it, not that it was delivered anywhere.
    """
    told: dict[str, Any] = {
        "file": one.file.name,
        "size": one.file.size,
        "sha256": one.sha256,
        "status": "taken over" if one.why == "read" else "known already",
        "records": one.records,
        "rejects": one.rejects,
    }
    if one.totals:
        told["totals"] = one.totals
    return (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode()


def rejects_of(contents: Contents, found: Candidate, one: Finished) -> Iterator[bytes]:
    """The ``rejects_file``: one JSON line for each record that was not taken.

    The file is read once more. Its raw lines hold what the supplier sent us, which is
    why this is off unless somebody asks for it.
    """
    with contents.open(found) as opened:
        if opened.sha256 != one.sha256:
            return
        for part, page in opened.pages():
            for bad in page.bad:
                yield _line(part, bad)


def _line(part: str, bad: Bad) -> bytes:
    told = {
        "record": bad.number,
        "offset": bad.offset,
        "reason": bad.reason,
        "field": bad.field,
        "raw": bad.raw.decode("utf-8", "backslashreplace"),
    }
    if part:
        told["part"] = part
    return json.dumps(told, ensure_ascii=False).encode() + b"\n"
