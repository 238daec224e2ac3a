"""One file, taken whole: spooled, its checksum compared, unpacked, judged, read.

Nothing of a file is emitted before all of it was judged (sftp 30-42).

A pass seldom reaches the end of a large file: its time is over, and the next one goes
on inside. So a spool on disk outlives the pass that left off in it: the position's
SHA-256 was computed of it, so it is as good as taking the file again. It goes with the
connection, or when something else is read.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Self, cast

from moatbridge_sftp.checks import Named, check_sum
from moatbridge_sftp.checks.keys import MOST_KEYS
from moatbridge_sftp.formats.base import Bad, BadFile
from moatbridge_sftp.pickup.choosing import as_date, number_of
from moatbridge_sftp.pickup.cursor import Place
from moatbridge_sftp.pickup.pages import Page, pages
from moatbridge_sftp.pickup.turning import named_groups
from moatbridge_sftp.rules import Order
from moatbridge_sftp.unpack import Limits, OpenPgp, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from moatbridge.adapter import Net, Secret
    from moatbridge_sftp.checks import Summary
    from moatbridge_sftp.config import SftpStreamConfig
    from moatbridge_sftp.parsing import Parser
    from moatbridge_sftp.pickup.choosing import Candidate
    from moatbridge_sftp.pickup.folder import Folder
    from moatbridge_sftp.pickup.spool import Spool, Spooled


class Contents:
    """Opens files of one stream. Used by one thread at a time.

    Args:
        folder: The stream's folder.
        spool: Where files wait.
        parser: The stream's format.
        net: To report progress while a long file is judged.
    """

    def __init__(self, folder: Folder, spool: Spool, parser: Parser, net: Net) -> None:
        self._folder = folder
        self._spool = spool
        self._parser = parser
        self._net = net
        self._kept: Opened | None = None
        self._closed = False

    def keep(self, opened: Opened) -> None:
        """Let the next pass go on in a file; what is small is rather taken again."""
        self._forget()
        if self._closed or not self._spool.on_disk(opened.one.file.size):
            opened.close()
        else:
            self._kept = opened

    def resume(self, one: Candidate, sha256: str | None) -> Opened | None:
        """What was kept, if it is this file with this content; else it is forgotten."""
        kept = self._kept
        if kept is None or (kept.one.file, kept.sha256) != (one.file, sha256):
            self._forget()
            return None
        self._kept, kept.one, kept.paused = None, one, False
        return kept

    def close(self) -> None:
        """Keep nothing any more, also not of a pass that ends later."""
        self._closed = True
        self._forget()

    def _forget(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    def open(self, one: Candidate) -> Opened:
        """Take a file into the spool.

        Raises:
            StorageFault: It cannot be read (or is gone).
            NotApplied: ``sftp.changed``, ``sftp.spool-full`` and what a connection may
                raise.
        """
        side = None
        if self._folder.config.checksum != "off":
            side = self._folder.side_text(one, lambda _name: True)
        wanted = set() if side is None else {_algorithm(side[0])}
        path = self._folder.path(one.file.name, claimed=one.claimed)
        with contextlib.closing(
            cast("Any", self._folder.storage.read(path, size=one.file.size))
        ) as chunks:
            spooled = self._spool.take(chunks, one.file.size, wanted)
        return Opened(
            one,
            spooled,
            side,
            self._folder.config,
            self._spool,
            self._parser,
            self._net,
            self.keep,
        )


@dataclass(slots=True)
class Judged:
    """A file that may be taken, and what should be said about it nevertheless.

    Args:
        remarks: Ends of sentences that begin with the file's name.
        unknown: Columns that no field names.
    """

    remarks: list[str] = field(default_factory=list)
    unknown: tuple[str, ...] = ()

    def learn(self, summary: Summary) -> None:
        """Take what the first pass over a logical file found."""
        self.unknown += tuple(c for c in summary.unknown if c not in self.unknown)
        if not summary.keys_checked:
            self.remarks.append(
                f"it holds more than {MOST_KEYS:,} records: nobody looked whether a "
                "key stands twice"
            )


class Opened:
    """A file in the spool. Use as a context manager.

    If the generator that reads it ends while it is `paused`, it is kept for the next.
    """

    def __init__(
        self,
        one: Candidate,
        spooled: Spooled,
        side: tuple[str, bytes] | None,
        config: SftpStreamConfig,
        spool: Spool,
        parser: Parser,
        net: Net,
        keep: Callable[[Opened], None],
    ) -> None:
        self.sha256: str = spooled.digests["sha256"]
        self.totals: dict[str, str] | None = None
        self.one: Candidate = one
        self.paused: bool = False
        self._keep = keep
        self._spooled = spooled
        self._side = side
        self._config = config
        self._spool = spool
        self._parser = parser
        self._net = net

    def check(self) -> Judged:
        """Judge the whole file, and say what a person should know about it.

        Raises:
            BadFile: It cannot be taken.
        """
        if self._side is not None:
            name = self.one.file.name.rpartition("/")[2]
            check_sum(self._side[1], name, self._spooled.digests)
        count, judged = 0, Judged()
        totals: dict[str, Any] = {}
        if not self._parser.present:
            self._whole_record()
            return judged
        named = self._named()
        for _number, _name, file in self._parts():
            if not _size(file) and not self._may_be_empty:
                raise BadFile("empty", "the file is empty")
            told = cast("IO[bytes]", Told(file, self._net))
            summary = self._parser.first_pass(told, named)
            count += summary.count
            totals |= _sums(summary)
            judged.learn(summary)
        self._expected(count, judged)
        self.totals = totals or None
        return judged

    def _named(self) -> Named:
        """What the file's name says, for the control lines."""
        config, name = self._config, self.one.file.name
        number = number_of(config.sequence, name) if config.sequence else None
        dated = isinstance(config.order, Order) and config.order.as_ == "date"
        day = as_date(str(self.one.order)) if dated else as_date(number or "")
        if number is None and isinstance(config.order, Order) and not dated:
            number = str(self.one.order)
        return Named(day, number)

    @property
    def _may_be_empty(self) -> bool:
        return self._config.allow_empty and self._config.content == "delta"

    def _expected(self, count: int, judged: Judged) -> None:
        least, most = self._config.expect.min_records, self._config.expect.max_records
        if count < least:
            raise BadFile(
                "too-few", "it holds fewer records than min_records", expected=least,
                found=count,
            )  # fmt: skip
        if most is not None and count > most:
            judged.remarks.append(
                f"it holds {count:,} records, more than max_records ({most:,})"
            )

    # --- reading --------------------------------------------------------------------

    def pages(self, place: Place | None = None) -> Iterator[tuple[str, Page]]:
        """Records from a place on: name of the logical file, and a page of it."""
        place = place or Place()
        if not self._parser.present:
            if place == Place():
                yield "", self._whole_record()
            return
        for number, name, file in self._parts():
            if number < place.part or not _size(file):
                continue
            start = place if number == place.part else Place(number)
            chunks = self._parser.chunks(file, start)
            for page in pages(chunks, start, self._config.page_size):
                yield name, self._grouped(page)

    def _grouped(self, page: Page) -> Page:
        """With the groups of the file's name, where a file is a record."""
        if self._config.content != "records" or self._config.name_groups is None:
            return page
        groups = named_groups(self._config.name_groups, self.one.file.name) or {}
        return page._replace(rows=[(n, {**row, **groups}) for n, row in page.rows])

    def _whole_record(self) -> Page:
        """The file itself as one record."""
        file, fields = self.one.file, self._config.fields
        groups = named_groups(self._config.name_groups, file.name)
        bad = Bad(1, 0, b"", "value", "name")
        if groups is None:
            return Page([], [bad], Place(0, 1, -1))
        record: dict[str, Any] = {
            "name": file.name,
            "size": file.size,
            "mtime": file.mtime,
            "sha256": self.sha256,
        }
        if "content" in fields:
            if file.size > self._config.max_record:
                raise BadFile(
                    "record-size", "it is larger than max_record", found=file.size
                )
            self._spooled.file.seek(0)
            content = self._spooled.file.read()
            try:
                text = fields["content"].type != "binary"
                record["content"] = content.decode() if text else content
            except UnicodeDecodeError:
                return Page([], [bad._replace(field="content", reason="encoding")],
                            Place(0, 1, -1))  # fmt: skip
        kept = {name: record.get(name) for name in fields} | groups
        return Page([(1, kept)], [], Place(0, 1, -1))

    # --- logical files --------------------------------------------------------------

    def _parts(self) -> Iterator[tuple[int, str, BinaryIO]]:
        """Logical files in order, unpacked one after the other."""
        self._spooled.file.seek(0)
        config = self._config
        found = unpack(
            cast("BinaryIO", self._spooled.file),
            self.one.file.name.rpartition("/")[2],
            limits=Limits(max_file=config.max_file),
            # what is packed is seldom smaller inside; of an archive all together is not
            new_spool=lambda: cast("BinaryIO", self._spool.new(self.one.file.size)),
            openpgp=_openpgp(config, self._net),
            zip_password=_value(config.zip_password),
        )
        for number, (name, file) in enumerate(found):
            file.seek(0)
            yield number, name.partition("!")[2], file

    def close(self) -> None:
        """Forget the spool."""
        self._spooled.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self.paused and exc_type is GeneratorExit:
            self._keep(self)
        else:
            self.close()


class Told:
    """A spool file that reports what is read of it, so that judging is prolonged."""

    def __init__(self, file: BinaryIO, net: Net) -> None:
        self._file = file
        self._net = net

    def read(self, size: int = -1) -> bytes:
        """As the file's."""
        data = self._file.read(size)
        self._net.progress(len(data))
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _openpgp(config: SftpStreamConfig, net: Net) -> OpenPgp | None:
    if config.decrypt is None and not config.verify_by:
        return None
    return OpenPgp(
        decrypt_key=_value(config.decrypt),
        passphrase=_value(config.decrypt_passphrase),
        verify_keys=_value(config.verify_keys),
        verify_by=config.verify_by,
        net=net,
    )


def _value(secret: Secret | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _algorithm(name: str) -> str:
    return name.rpartition(".")[2].lower()


def _size(file: BinaryIO) -> int:
    size = file.seek(0, 2)
    file.seek(0)
    return size


def _sums(summary: Summary) -> dict[str, str]:
    return {name: str(value) for name, value in summary.sums.items()}
