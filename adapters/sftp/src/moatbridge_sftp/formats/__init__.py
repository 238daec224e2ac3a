"""File formats: bytes of one unpacked file to typed records, and back.

A third party adds one by a subclass of `Format` under the entry point group
``moatbridge.formats``::

    [project.entry-points."moatbridge.formats"]
    dbf = "acme_dbf:DbfFormat"

Then ``format = "dbf"`` works in a stream, with its settings in the table ``options``.
Shipped formats are found without entry points and cannot be replaced by one.
"""

from __future__ import annotations

from moatbridge_sftp.formats.base import (
    Bad,
    BadFile,
    Chunk,
    Format,
    FormatConfig,
    LineRules,
    Position,
    Refusal,
    Writer,
)
from moatbridge_sftp.formats.fields import FieldSpec, field_table
from moatbridge_sftp.formats.registry import all_formats, format_class, settings

__all__ = [
    "Bad",
    "BadFile",
    "Chunk",
    "FieldSpec",
    "Format",
    "FormatConfig",
    "LineRules",
    "Position",
    "Refusal",
    "Writer",
    "all_formats",
    "field_table",
    "format_class",
    "settings",
]
