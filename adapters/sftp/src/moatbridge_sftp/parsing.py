"""The format of a stream, with its settings: the one place that picks it."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from moatbridge.errors import ConfigurationError
from moatbridge_sftp.checks import body, first_pass
from moatbridge_sftp.formats import format_class, settings
from moatbridge_sftp.formats.base import Position
from moatbridge_sftp.formats.encodings import encoding, written_end

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge_sftp.checks import Named, Summary
    from moatbridge_sftp.config import SftpStreamConfig
    from moatbridge_sftp.formats.base import Chunk, Format, Writer
    from moatbridge_sftp.pickup.cursor import Place
    from moatbridge_sftp.pickup.spool import Spool


class Parser:
    """Reads and writes the records of one stream's files.

    Args:
        config: The stream's settings.
        spool: Makes spool files.

    Raises:
        ConfigurationError: ``sftp.format``, ``sftp.fields``.
    """

    def __init__(self, config: SftpStreamConfig, spool: Spool) -> None:
        self._config = config
        self._spool = spool
        self._format: Format | None = None
        self._settings: Any = None
        if config.format is not None:
            kind = format_class(config.format)
            table = {
                **config.table,
                "max_record": config.max_record,
                "formula_guard": config.guard,
            }
            self._settings = settings(kind, table)
            self._format = kind()

    @property
    def present(self) -> bool:
        """False for whole files as records."""
        return self._format is not None

    @property
    def extension(self) -> str:
        """For names of published files, without the dot."""
        return self._need.extension

    @property
    def _need(self) -> Format:
        if self._format is None:
            raise ConfigurationError("This stream needs `format`.", code="sftp.format")
        return self._format

    def check(self) -> None:
        """Check ``fields`` against the format's settings.

        Raises:
            ConfigurationError: ``sftp.fields``, ``sftp.format``.
        """
        if self._format is not None:
            self._format.check(self._config.fields, self._settings)

    def first_pass(self, file: IO[bytes], named: Named) -> Summary:
        """Read a whole file without emitting anything, and judge it.

        Args:
            file: The file.
            named: What its name says about it.

        Raises:
            BadFile: It cannot be taken.
        """
        config = self._config
        return first_pass(
            cast("BinaryIO", file),
            self._need,
            config.fields,
            self._settings,
            key=config.key,
            controls=config.controls,
            max_rejects=config.max_rejects,
            content=config.content,
            named=named,
        )

    def chunks(self, file: IO[bytes], place: Place) -> Iterator[Chunk]:
        """Read records from a place on."""
        start = None if place.record < 0 else Position(place.record, place.offset)
        form, rules = self._need, self._settings
        found = body(cast("BinaryIO", file), form, rules, self._config.controls)
        return form.read(found.file, self._config.fields, rules, start)

    def writer(self, file: IO[bytes]) -> Writer:
        """A writer of one file's records."""
        binary = cast("BinaryIO", file)
        return self._need.open_writer(binary, self._config.fields, self._settings)

    def line(self, text: str) -> bytes:
        """A header or trailer line as this format writes lines."""
        rules = self._need.line_rules(self._settings)
        found = encoding(rules.encoding if rules else "utf-8")
        end = written_end(found, rules.newline if rules else "lf")  # type: ignore[arg-type]
        return text.encode(found.written) + end.raw

    def scratch(self) -> IO[bytes]:
        """An empty spool file."""
        return self._spool.new()
