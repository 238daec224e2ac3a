"""Finds formats by name: the shipped ones without entry points, then third parties'."""

from __future__ import annotations

import difflib
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from moatbridge.errors import ConfigurationError
from moatbridge_sftp.formats.base import Format, FormatConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

GROUP: Final = "moatbridge.formats"
SHIPPED: Final = {
    "csv": "delimited:CsvFormat",
    "fixed": "fixed:FixedFormat",
    "jsonl": "jsonl:JsonLinesFormat",
    "json": "json_document:JsonFormat",
    "xml": "xml_document:XmlFormat",
    "copybook": "copybook:CopybookFormat",
    "x12": "x12:X12Format",
    "edifact": "edifact:EdifactFormat",
    "xlsx": "xlsx:XlsxFormat",
}


def format_class(name: str) -> type[Format]:
    """The format of that name. Its module is imported now, not before.

    Raises:
        ConfigurationError: ``sftp.format``: nobody offers it, or it does not load.
    """
    if name in SHIPPED:
        module, _, attribute = SHIPPED[name].partition(":")
        found = getattr(import_module(f"moatbridge_sftp.formats.{module}"), attribute)
        return _format(name, found)
    offers = {each.name: each for each in entry_points(group=GROUP)}
    if name not in offers:
        known = sorted({*SHIPPED, *offers})
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        raise ConfigurationError(f"no format {name!r}; {hint}", code="sftp.format")
    try:
        return _format(name, offers[name].load())
    except Exception as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(
            f"format {name!r} of {offers[name].value!r} cannot be loaded "
            f"({type(error).__name__}); reinstall its package",
            code="sftp.format",
        ) from error


def _format(name: str, found: Any) -> type[Format]:
    if isinstance(found, type) and issubclass(found, Format):
        return found
    raise ConfigurationError(
        f"format {name!r} is not a subclass of moatbridge_sftp.formats.Format",
        code="sftp.format",
    )


def all_formats() -> dict[str, type[Format]]:
    """Every format that loads, shipped ones first: for ``discover``."""
    names = [*SHIPPED, *(each.name for each in entry_points(group=GROUP))]
    found = {}
    for name in dict.fromkeys(names):
        try:
            found[name] = format_class(name)
        except (ConfigurationError, ImportError):
            continue  # an extra that is not installed
    return found


def settings(kind: type[Format], table: Mapping[str, Any]) -> FormatConfig:
    """Validate a format's settings table.

    Raises:
        ConfigurationError: ``sftp.format``, naming each setting at fault.
    """
    try:
        return kind.Config.model_validate(dict(table))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or kind.name}: {each['msg']}"
            for each in error.errors(include_url=False, include_input=False)
        )
        raise ConfigurationError(
            f"settings of format {kind.name!r}: {faults}", code="sftp.format"
        ) from None
