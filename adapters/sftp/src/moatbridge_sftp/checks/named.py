"""What header and trailer lines say about the file itself: its date, its number.

A file that says another day or number than its name was mixed up on its way (sftp 41).
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from moatbridge.errors import ConfigurationError
from moatbridge_sftp.formats.base import BadFile
from moatbridge_sftp.formats.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moatbridge_sftp.checks.controls import Controls


class Named(NamedTuple):
    """What a file's name says.

    Args:
        day: Its date; None if it has none.
        number: Its sequence number; None if it has none.
    """

    day: date | None = None
    number: str | None = None


def compare_name(promised: Mapping[str, str], controls: Controls, named: Named) -> None:
    """Compare the groups ``date`` and ``sequence`` with the file's name.

    Args:
        promised: Meaning -> text of the control lines.
        controls: The stream's settings.
        named: What the name says.

    Raises:
        BadFile: ``date`` or ``sequence``: they differ; ``control-value``: no date.
        ConfigurationError: ``sftp.controls``: the name holds nothing to compare with.
    """
    if "date" in promised:
        said = _date(promised["date"], controls)
        day = None if named.day is None else named.day.isoformat()
        _same("date", said.isoformat(), day)
    if "sequence" in promised:
        number = None if named.number is None else _plain(named.number)
        _same("sequence", _plain(promised["sequence"]), number)


def _same(what: str, said: str, named: str | None) -> None:
    if named is None:
        raise ConfigurationError(
            f"controls: {what!r} is compared with the file's name, which holds none; "
            "correct `order` or `sequence`, or give the group another name",
            code="sftp.controls",
        )
    if said != named:
        raise BadFile(
            what,
            f"its control line says another {what} than its name; the file may be an "
            "old one under a new name: ask for it again",
            expected=said,
            found=named,
        )


def _plain(number: str) -> str:
    """Without leading zeros, which one of the two may lack."""
    text = number.strip()
    return text.lstrip("0") or "0" if text.isascii() and text.isdigit() else text


def _date(text: str, controls: Controls) -> date:
    plain = text.strip()
    try:
        if controls.date_pattern is None:
            return date.fromisoformat(plain)
        return Pattern(controls.date_pattern, with_time=False).parse(plain)
    except ValueError:
        raise BadFile(
            "control-value",
            "the date in a control line is not of its pattern; correct `date_pattern`",
        ) from None
