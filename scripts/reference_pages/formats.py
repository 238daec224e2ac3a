"""`formats.md`: file formats of drop folders, and how their fields are described."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moatbridge_sftp.formats import Format
from moatbridge_sftp.formats.fields import FieldSpec
from moatbridge_sftp.formats.registry import all_formats
from reference_pages.settings import section
from reference_pages.text import document, summary, table

if TYPE_CHECKING:
    from pydantic import BaseModel

_INTRODUCTION = """\
Formats of files that the `sftp` adapter reads and publishes: `format = "csv"` in the
stream, and the format's own settings in a table of its name,
`csv = { delimiter = ";" }`.
Packages add formats under the entry point group `moatbridge.formats`; their settings
stand in `options`.

A file is unpacked before it is read: gzip, bzip2, zstd (extra `zstd`), zip, and OpenPGP
(with the program `gpg`)."""
_FIELDS = """\
## `fields`

`fields = { NAME = "text", ENTRY = { type = "date", pattern = "DD.MM.YYYY" } }`, or a
list of names, which are all text. Only what is named is read; what cannot be converted
rejects its record, and is never guessed."""


def page() -> str:
    """The whole page."""
    formats = all_formats()
    rows = [
        (f"`{name}`", _published(kind), summary(kind)) for name, kind in formats.items()
    ]
    parts = [_INTRODUCTION, "", *table(("format", "published as", "records"), rows), ""]
    told: set[type[BaseModel]] = set()
    for name, kind in formats.items():
        parts += section(f"## `{name}`", kind.Config, told, about=kind)
    parts += [_FIELDS, "", *section("", FieldSpec, told)[4:]]
    return document("File formats", *parts)


def _published(kind: type[Format]) -> str:
    reads_only = kind.open_writer is Format.open_writer
    return "read only" if reads_only else f"`.{kind.extension}`"
