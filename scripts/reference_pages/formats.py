"""`formats.md`: file formats of drop folders, and how their fields are described."""

from __future__ import annotations

from moatbridge_sftp.formats.fields import FieldSpec
from moatbridge_sftp.formats.registry import all_formats
from reference_pages.settings import section
from reference_pages.text import document, summary, table

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
        (f"`{name}`", f"`.{kind.extension}`", summary(kind))
        for name, kind in formats.items()
    ]
    parts = [_INTRODUCTION, "", *table(("format", "published as", "records"), rows), ""]
    for name, kind in formats.items():
        parts += section(f"## `{name}`", kind.Config, about=kind)
    parts += [_FIELDS, "", *section("", FieldSpec)[4:]]
    return document("File formats", *parts)
