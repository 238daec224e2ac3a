"""What a scenario consists of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from contextlib import ExitStack

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Variant:
    """One way of doing a work.

    Args:
        name: Key.
        label: What it is, for the table.
        module: Below ``benchmarks``; the function gets ready and returns the work.
        function: Its name there.
        peer: Folder in ``peers`` whose environment it runs in; None: this one.
        share: Part of the records it is given; a slow one need not do all.
        ours: Whether it is moatbridge.
        resident: Whether it is there already, so that starting it is no cost of a pass.
    """

    name: str
    label: str
    module: str
    function: str
    peer: str | None = None
    share: float = 1.0
    ours: bool = False
    resident: bool = False


@dataclass
class Place:
    """Where works happen.

    Args:
        folder: For everything that they write.
        stack: Closes what they opened.
        sink: The platform.
        scale: Factor of the sizes.
    """

    folder: Path
    stack: ExitStack
    sink: SinkProcess
    scale: float

    def size(self, records: int, least: int = 200) -> int:
        """A number of records at this scale, in whole hundreds."""
        return max(least, self.part(records) // 100 * 100)

    def part(self, records: int) -> int:
        """A number of things at this scale, as it comes out."""
        return int(records * self.scale)


class Work(ABC):
    """One row group of the report: the same job for several variants."""

    name: str
    title: str
    unit: str = "record"
    note: str = ""
    commands: bool = True
    """Whether variants stand for commands, whose start is of interest."""

    variants: tuple[Variant, ...]
    records: int
    """At full scale."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.count = place.size(self.records)

    def heading(self) -> str:
        """The title with the sizes of this run."""
        return self.title.format(count=self.count)

    def ready(self, variant: Variant) -> None:
        """Make what the variant needs and keeps for all rounds."""
        del variant

    @abstractmethod
    def order(self, variant: Variant, folder: Path) -> dict[str, Any]:
        """Fresh state in an empty folder; the result is what the variant gets.

        ``records`` in it says by what the cost is divided.
        """

    @abstractmethod
    def check(
        self, variant: Variant, order: dict[str, Any], found: dict[str, Any]
    ) -> None:
        """Raise `AssertionError` if the result is not exactly what was asked for."""


@dataclass
class SinkProcess:
    """The platform's process, and what it tells."""

    process: subprocess.Popen[str] = field(init=False, repr=False)
    url: str = field(init=False, default="")

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "sink.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"
        return self

    def __exit__(self, *_exc: object) -> None:
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()

    def cpu(self) -> float:
        """CPU seconds so far."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        user, system = stat.rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / TICKS

    def stats(self) -> dict[str, Any]:
        """Counts, and a digest of what arrived."""
        return self._asked("stats")

    def names(self) -> list[str]:
        """Of all people who arrived."""
        return self._asked("names")

    def _asked(self, what: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/-/{what}") as answer:
            return json.load(answer)

    def clear(self) -> None:
        """Forget everything."""
        self._tell("clear", "")

    def save(self, path: Path) -> None:
        """Write what is there to a file."""
        self._tell("save", str(path))

    def load(self, path: Path) -> None:
        """Be as when that file was written; counters start again."""
        self._tell("load", str(path))

    def _tell(self, what: str, path: str) -> None:
        asked = urllib.request.Request(f"{self.url}/-/{what}", data=path.encode())
        with urllib.request.urlopen(asked) as answer:
            answer.read()
