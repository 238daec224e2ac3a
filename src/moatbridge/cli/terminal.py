"""Text on its way to a terminal: nothing that a record holds may steer it."""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_SEQUENCE: Final = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]")
_DROPPED: Final = frozenset({"Cf", "Cs"})
_BLANKED: Final = frozenset({"Cc", "Zl", "Zp"})
LONGEST: Final = 200


def clean(value: object, limit: int = LONGEST) -> str:
    """One line of printable text, whatever the value holds.

    Terminal sequences, line breaks and other control characters, marks that reverse
    the writing direction and lone surrogates are taken out (security 32).

    Args:
        value: Anything; its ``str`` is shown.
        limit: Longer text is cut and ends in ``...``.
    """
    text = _SEQUENCE.sub("", str(value)[: 4 * limit])
    if not text.isprintable():
        text = "".join(map(_printable, text))
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _printable(character: str) -> str:
    kind = unicodedata.category(character)
    if kind in _BLANKED:
        return " "
    return "" if kind in _DROPPED else character


def show(lines: Iterable[str]) -> None:
    """Print lines to standard output; that its reader went away is no error."""
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:  # later output, and Python's own at exit, goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show_json(data: Any) -> None:
    """Print one JSON document; everything beyond ASCII is escaped in it."""
    show([json.dumps(data, indent=2, default=str)])


def complain(
    message: str, *, code: str = "", as_json: bool = False, **more: Any
) -> None:
    """Print an error to standard error: its lines, or one JSON line.

    Args:
        message: May have several lines (all that is wrong with a configuration).
        code: Its stable code, if the message does not begin with it.
        as_json: The command line asked for JSON.
        more: Further plain facts for JSON; None is left out.
    """
    if as_json:
        facts = {name: fact for name, fact in more.items() if fact is not None}
        error = {"error": {"code": code, "message": message, **facts}}
        print(json.dumps(error), file=sys.stderr)
        return
    prefix = f"{code}: " if code else ""
    first, *rest = message.splitlines() or [""]
    print(f"moatbridge: {prefix}{clean(first, 2000)}", file=sys.stderr)
    for line in rest:
        print(clean(line, 2000), file=sys.stderr)


def settle_encoding() -> None:
    """Make sure that no character of a record can end a command."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def interactive() -> bool:
    """Whether a person can be asked: input and error output are terminals."""
    return sys.stdin.isatty() and sys.stderr.isatty()
