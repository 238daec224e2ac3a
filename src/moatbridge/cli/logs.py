"""What a command logs: to standard error, without the secrets of its bridge."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    import typer

    from moatbridge.config import Redactor

_REDACTOR: Final = "moatbridge.redactor"


@contextmanager
def redacted_log(context: typer.Context | None) -> Iterator[None]:
    """Print warnings and errors of all loggers while a command runs.

    Args:
        context: Of the command; None if it opens no bridge. The bridge that is opened
            with `redactor_of` this context teaches the log what must not be shown.
    """
    from moatbridge.config import RedactionFilter, Redactor  # noqa: PLC0415 - --help

    redactor = Redactor()
    if context is not None:
        context.meta[_REDACTOR] = redactor
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.addFilter(RedactionFilter(redactor))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


def redactor_of(context: typer.Context) -> Redactor:
    """What knows the secrets that this command's log must not show."""
    found: Redactor = context.meta[_REDACTOR]
    return found
