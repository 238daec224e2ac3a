"""What the demo says: numbered steps with times, checks, and the table at the end.

Colours and boxes on a terminal, plain lines elsewhere.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_WIDTH: Final = 60


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation, and what was found."""

    act: int
    what: str
    expected: Any
    found: Any

    @property
    def holds(self) -> bool:
        """Whether they are the same."""
        return bool(self.expected == self.found)


class Narrator:
    """Tells the story and keeps the score.

    Args:
        console: Where to; None for standard output.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._acts = 0
        self._steps = 0
        self._begun = time.monotonic()
        self.checks: list[Check] = []

    @property
    def failed(self) -> int:
        """Checks that did not hold."""
        return sum(not check.holds for check in self.checks)

    def act(self, title: str) -> None:
        """Begin a chapter."""
        self._acts += 1
        self._steps = 0
        self._write()
        self._write(f"{self._acts}. {title}", "bold cyan")

    @contextmanager
    def step(self, words: str) -> Iterator[None]:
        """A numbered step; its time is told when it ends."""
        self._steps += 1
        number, begun = f"{self._acts}.{self._steps}", time.monotonic()
        self._write(f"  {number} {words} ...")
        yield
        self._write(f"  {number} done in {time.monotonic() - begun:.1f} s", "dim")

    def say(self, words: str) -> None:
        """One sentence."""
        self._write(f"      {words}")

    def show(self, lines: Iterable[str]) -> None:
        """Lines as a command would print them."""
        for line in lines:
            self._write(f"      | {line}" if line else "      |", "dim")

    def expect(self, what: str, expected: Any, found: Any) -> None:
        """Compare, tell, and remember for the table."""
        check = Check(self._acts, what, expected, found)
        self.checks.append(check)
        if check.holds:
            self._write(f"      ok     {what}: {_words(found)}", "green")
        else:
            said = f"expected {_words(expected)}, found {_words(found)}"
            self._write(f"      FAILED {what}: {said}", "bold red")

    def confirm(self, what: str, *, holds: bool) -> None:
        """The same for something that is so or is not."""
        self.expect(what, "yes", "yes" if holds else "no")

    def finish(self) -> None:
        """The table of everything expected and found, and the total time."""
        self._write()
        if self._console.is_terminal:
            self._console.print(self._table())
        else:
            self._plain_table()
        seconds = time.monotonic() - self._begun
        good = len(self.checks) - self.failed
        words = (
            f"{good} of {len(self.checks)} expectations hold; {seconds:.0f} s in all."
        )
        self._write(words, "bold red" if self.failed else "bold green")

    def _table(self) -> Table:
        table = Table(title="Expected and found", show_lines=False)
        for name in ("", "what", "expected", "found", "ok"):
            table.add_column(name, overflow="fold")
        for check in self.checks:
            pair = (_words(check.expected), _words(check.found))
            row = (str(check.act), check.what, *pair)
            style = None if check.holds else "bold red"
            cells = [Text(cell) for cell in (*row, "yes" if check.holds else "NO")]
            table.add_row(*cells, style=style)
        return table

    def _plain_table(self) -> None:
        self._write("Expected and found")
        for check in self.checks:
            ok = "ok" if check.holds else "NO"
            pair = f"expected {_words(check.expected)}, found {_words(check.found)}"
            self._write(f"  {ok:<3} {check.act} {check.what:<{_WIDTH}} {pair}")

    def _write(self, words: str = "", style: str = "") -> None:
        self._console.print(Text(words, style=style))


def _words(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(_words, value)) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)
