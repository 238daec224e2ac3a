"""Progress of long work: a line on a terminal, JSON lines elsewhere (on stderr)."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Step = Callable[[int, int], None]

EVERY: Final = 1.0
"""Seconds between two JSON lines."""


@contextmanager
def progress(step: str, flow: str) -> Iterator[Step]:
    """Show how far a step of a flow is.

    Args:
        step: ``plan`` counts records read and intents staged; ``apply`` counts
            intents delivered, of all; ``reconcile`` counts target records read and
            records compared.
        flow: Name.

    Yields:
        A function of the two numbers.
    """
    shown = _on_terminal if sys.stderr.isatty() else _as_lines
    with shown(step, flow) as tell:
        yield tell


@contextmanager
def _as_lines(step: str, flow: str) -> Iterator[Step]:
    names = _NAMES[step]
    told = (0, 0)
    last: tuple[int, int] | None = None
    due = 0.0

    def write(numbers: tuple[int, int]) -> None:
        facts = {"progress": step, "flow": flow, **dict(zip(names, numbers))}  # noqa: B905 - always two
        print(json.dumps(facts), file=sys.stderr, flush=True)

    def tell(first: int, second: int) -> None:
        nonlocal told, last, due
        last = (first, second)
        if last != told and time.monotonic() >= due:
            write(last)
            told, due = last, time.monotonic() + EVERY

    try:
        yield tell
    finally:
        if last is not None and last != told:
            write(last)


@contextmanager
def _on_terminal(step: str, flow: str) -> Iterator[Step]:
    from rich.console import Console  # noqa: PLC0415 - only on a terminal
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn  # noqa: PLC0415

    columns = [SpinnerColumn(), TextColumn("{task.description}", markup=False)]
    if step == "apply":
        columns.append(BarColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(flow, total=None)

        def tell(first: int, second: int) -> None:
            if step == "apply":
                words = f"{flow}: {first:,} of {second:,} delivered"
                bar.update(task, completed=first, total=second or None)
            elif step == "reconcile":
                words = f"{flow}: {first:,} read at the target, {second:,} compared"
            else:
                words = f"{flow}: {first:,} records read, {second:,} changes staged"
            bar.update(task, description=words)

        yield tell


_NAMES: Final = {
    "plan": ("read", "staged"),
    "apply": ("delivered", "all"),
    "reconcile": ("read", "compared"),
}
