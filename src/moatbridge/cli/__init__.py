"""The command line: ``moatbridge plan people``.

One small file a command; what is printed is made by pure functions in ``show_*``.
typer and rich are imported only when a command line really runs.
"""

from __future__ import annotations

import gc
import sys
from typing import Final, NoReturn

_GARBAGE: Final = (20_000, 20, 20)
"""Objects between two looks for garbage in rings. Python's own 700 makes a short
command look dozens of times through modules and settings that stay until its end."""

_usual: list[tuple[int, int, int]] = []
"""What was set before, given back once the settings are read."""


def main() -> NoReturn:
    """Run the command line of this process and exit; the console script."""
    _usual[:] = [gc.get_threshold()]
    gc.set_threshold(*_GARBAGE)
    from moatbridge.cli.app import run  # noqa: PLC0415 - brings typer

    sys.exit(run(sys.argv[1:]))


def collect_as_usual() -> None:
    """Leave garbage to the settings, which are read by now (``run.collect_after``)."""
    if _usual and gc.get_threshold() == _GARBAGE:
        gc.set_threshold(*_usual[0])
