"""moatbridge adapter for IDoc files: an ERP's flat exports in a shared folder.

An export is two files. ``HRMD_A_20260801.idoc`` holds IDocs one after the other (see
`flat`). ``HRMD_A_20260801.sts`` is written last and says ``03 BYTES``: passed on, and
how big the export is. Each export is complete; the greatest name is the newest one, and
no name is used twice.
"""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator
from pydantic import Field as Setting

from moatbridge.adapter import (
    Adapter,
    AdapterConfig,
    CanFetch,
    CanScan,
    Field,
    Probe,
    Stream,
)
from moatbridge.changes import Absent, Batch, Change, Record, Reject
from moatbridge.errors import ConfigurationError, CursorTooOld, NotApplied, Rejected
from moatbridge_idoc import flat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moatbridge.adapter import Partition
    from moatbridge.changes import Cursor, Fetched, Ref

__all__ = ["IdocAdapter", "IdocConfig", "IdocStreamConfig"]


def _known(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        raise ValueError("not an encoding that Python knows") from None


class IdocConfig(AdapterConfig):
    """``[systems.NAME]``: the shared folder, its encoding, records in one batch."""

    folder: Path
    encoding: Annotated[str, AfterValidator(_known)] = "utf-8"
    page_size: int = Setting(default=500, ge=1, le=10_000)


class IdocStreamConfig(AdapterConfig):
    """``[streams."SYSTEM/STREAM"]``: name of the exports, columns, the identity."""

    export: str = Setting(pattern="^[A-Za-z0-9_]+$")
    key: str
    fields: dict[str, flat.Column]


class IdocAdapter(Adapter[IdocConfig], CanScan, CanFetch):
    """Reads the newest finished export. Nothing is written, nothing is dialled."""

    name = "idoc"
    Config = IdocConfig
    StreamConfig = IdocStreamConfig

    @classmethod
    def endpoints(cls, config: IdocConfig) -> Sequence[tuple[str, int]]:
        """None: it is a folder."""
        del config
        return ()

    def open(self) -> None:
        """See that folder and columns are there."""
        if not self.config.folder.is_dir():
            words = "`folder` is not a folder, or not mounted; check the path."
            raise ConfigurationError(words, code="idoc.folder")
        for name, each in self.stream_configs.items():
            if each.key not in each.fields:
                words = f"`key` of stream {name} is none of its `fields`."
                raise ConfigurationError(words, code="idoc.key")

    def close(self) -> None:
        """Nothing is held open between calls."""

    def probe(self) -> Probe:
        """The folder is the server."""
        return Probe(f"idoc:{self.config.folder.resolve()}", "IDoc files")

    def streams(self) -> Sequence[Stream]:
        """As they are configured: the files say nothing about themselves."""
        return [
            Stream(
                name,
                tuple(Field(n, writable=False, unique=n == s.key) for n in s.fields),
                key=(s.key,),
                abilities=self.abilities,
                query=s.model_dump_json(),
            )
            for name, s in self.stream_configs.items()
        ]

    def scan(
        self, stream: str, partition: Partition, after: Cursor | None
    ) -> Iterator[Batch]:
        """The newest export, or the rest of the one that the cursor names."""
        del partition  # there is only one
        export, end = self._resumed(after) if after else (self._newest(stream), 0)
        found: list[Record | Reject] = []
        for end, row in self._rows(stream, export, end):  # noqa: B020 - where it stands
            found.append(row)
            if len(found) == self.config.page_size:
                yield _batch(found, export, end)
                found = []
        yield _batch(found, export, end, complete=True)

    def fetch(self, stream: str, refs: Sequence[Ref]) -> Sequence[Fetched]:
        """One pass over the newest export, however many are asked for."""
        wanted = {ref.key for ref in refs}
        found: dict[str, Record] = {}
        unread = False
        for _, row in self._rows(stream, self._newest(stream)) if refs else ():
            if isinstance(row, Reject):
                unread = True
            elif row.ref.key in wanted:
                found[row.ref.key] = row
        if unread and len(found) < len(wanted):  # one of them may be who is asked for
            words = "An IDoc of the export cannot be read, so nobody counts as gone."
            raise Rejected(words, code="idoc.unread", stream=stream)
        return [found.get(ref.key, Absent(ref)) for ref in refs]

    def _settings(self, stream: str) -> IdocStreamConfig:
        if stream not in self.stream_configs:
            words = f"There is no stream {stream!r} in the configuration."
            raise ConfigurationError(words, code="idoc.stream")
        settings: IdocStreamConfig = self.stream_configs[stream]
        return settings

    def _newest(self, stream: str) -> Path:
        pattern = f"{self._settings(stream).export}_*.sts"
        newest = max(self.config.folder.glob(pattern), default=None)
        if newest is None:
            raise NotApplied("No export is finished yet.", code="idoc.none")
        return newest.with_suffix(".idoc")

    def _resumed(self, after: Cursor) -> tuple[Path, int]:
        match after:
            case {"export": str(name), "at": int(at)}:
                export = self.config.folder / Path(name).name
                if export.exists():
                    return export, at
        words = "The position is not one of ours, or its export is gone."
        raise CursorTooOld(words, code="idoc.cursor")

    def _rows(
        self, stream: str, export: Path, at: int = 0
    ) -> Iterator[tuple[int, Record | Reject]]:
        """Position after each IDoc, and what it says."""
        settings = self._settings(stream)
        try:
            _check_whole(export)
            for end, segments in flat.documents(export, at):
                self.net.progress(sum(map(len, segments)))
                columns, key = settings.fields, settings.key
                yield end, flat.row(segments, columns, key, self.config.encoding, end)
        except OSError as error:
            words = f"The export cannot be read ({type(error).__name__})."
            raise NotApplied(words, code="idoc.unreadable") from None


def _check_whole(export: Path) -> None:
    """Half an export must never look like people who left."""
    said = export.with_suffix(".sts").read_text("ascii", "replace").split()
    if said != ["03", str(export.stat().st_size)]:
        words = "The export is not finished, or not as long as its status file says."
        raise NotApplied(words, code="idoc.unfinished")


def _batch(
    found: list[Record | Reject], export: Path, at: int, *, complete: bool = False
) -> Batch:
    changes = [Change(r.ref, data=r.data) for r in found if isinstance(r, Record)]
    rejects = [row for row in found if isinstance(row, Reject)]
    return Batch(changes, {"export": export.name, "at": at}, rejects, complete)
