"""IDocs as flat text: each is a control record and data segments in fixed columns.

Layout of a data record (EDI_DD40): SEGNAM 30, MANDT 3, DOCNUM 16, SEGNUM 6, PSGNUM 6
and HLEVEL 2 characters, then up to 1,000 of the segment's own data (SDATA).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from pydantic import Field as Setting

from moatbridge.adapter import AdapterConfig
from moatbridge.changes import Record, Ref, Reject
from moatbridge.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CONTROL: Final = b"EDI_DC40"
NAME: Final = slice(0, 30)
HEADER: Final = 63
LONGEST: Final = 4096
"""Bytes of one record that are read at once: no file fills the memory."""


class Column(AdapterConfig):
    """Where a field stands: characters of a segment's data, the first one is 0."""

    segment: str
    start: int = Setting(ge=0)
    length: int = Setting(ge=1)


def documents(export: Path, at: int) -> Iterator[tuple[int, list[bytes]]]:
    """The data segments of each IDoc, and the position after it."""
    with export.open("rb") as file:
        file.seek(at)
        segments: list[bytes] | None = None
        for line in iter(partial(file.readline, LONGEST), b""):
            if line.startswith(CONTROL):
                if segments is not None:
                    yield at, segments
                segments = []
            elif segments is None:
                words = "The export does not begin with a control record EDI_DC40."
                raise Rejected(words, code="idoc.control")
            else:
                segments.append(line)
            at += len(line)
        if segments is not None:
            yield at, segments


def row(
    segments: list[bytes],
    columns: Mapping[str, Column],
    key: str,
    encoding: str,
    end: int,
) -> Record | Reject:
    """Cut the columns out; of equal segments the first counts, blanks are nothing."""
    where = f"the IDoc that ends at byte {end}"
    try:
        lines = [line.decode(encoding) for line in reversed(segments)]
    except UnicodeDecodeError:
        return Reject("idoc.encoding", where)
    if not all(line.endswith("\n") for line in lines):  # cut off, or far too long
        return Reject("idoc.segment", where)
    texts = {line[NAME].strip(): line[HEADER:] for line in lines}
    data = {
        name: texts.get(c.segment, "")[c.start : c.start + c.length].strip() or None
        for name, c in columns.items()
    }
    found = data[key]
    return Record(Ref(found), data) if found else Reject("idoc.key", where)
