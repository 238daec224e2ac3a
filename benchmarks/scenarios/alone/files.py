"""Files: many small ones and a large one from an OpenSSH server, and CSV by itself."""

from __future__ import annotations

import shutil
from hashlib import file_digest
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from harness.contents import COLUMNS, row
from harness.scenario import Variant

from scenarios.alone.work import Alone
from scenarios.to_platform.places import Drop

if TYPE_CHECKING:
    from harness.scenario import Place

Order = dict[str, Any]
HERE = "scenarios.alone.files_ways"
MEMORY = "/dev/shm"
ROWS = 40
"""In a small file: some 3 KiB."""


class Small(Alone):
    """All files of a folder, into another one."""

    name = "alone-sftp-small"
    title = "{count:,} files of 3 KiB fetched from an OpenSSH server"
    note = (
        "Connecting is measured. So are listing the folder and writing what is fetched to"
        " files in memory."
    )
    unit = "file"
    records = 5_000
    variants = (
        Variant("sftp", "OpenSSH's own sftp, a batch", "scenarios.to_platform.floors", "sftp"),
        Variant("paramiko", "paramiko: open, read, next", HERE, "paramiko_small"),
        Variant("moatbridge", "moatbridge's sftp storage", HERE, "small", ours=True),
    )  # fmt: skip

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.drop = Drop(place, ROWS)
        # To make a file may cost a disk more than to fetch it; it is no part of this.
        base = MEMORY if Path(MEMORY).is_dir() else place.folder
        self._into = Path(mkdtemp(prefix="moatbridge-bench-", dir=base))
        place.stack.callback(shutil.rmtree, self._into, ignore_errors=True)
        self.filled = self.fill(place)
        self.contents = self.digests(Path(self.filled["source"]["folder"]))

    def fill(self, place: Place) -> Order:
        """Write what is there to fetch; how to reach it."""
        return self.drop.order(self.count * ROWS, place.folder)

    def given(self, variant: Variant, count: int, folder: Path) -> Order:
        shutil.rmtree(self._into)
        self._into.mkdir()
        made = self.filled
        return {
            "source": made["source"], "system": made["system"], "key": made["env"]["SOURCE_KEY"],
            "into": str(self._into),
        }  # fmt: skip

    def seen(self, variant: Variant, order: Order, said: Order) -> Any:
        there = self.digests(Path(said["fetched"]))
        assert there == self.contents, f"{len(there)} of {len(self.contents)} files"
        return order["records"]

    @staticmethod
    def digests(folder: Path) -> dict[str, str]:
        """What each file there holds."""
        found = {}
        for path in folder.iterdir():
            with path.open("rb") as file:
                found[path.name] = file_digest(file, "blake2b").hexdigest()
        return found


class Large(Small):
    """One file."""

    name = "alone-sftp-large"
    title = "one file of {count:,} MiB fetched from an OpenSSH server"
    note = f"{Small.note} Each uses the cipher that it prefers."
    unit = "MiB"
    records = 1_024
    variants = (
        Variant("sftp", "OpenSSH's own sftp", "scenarios.to_platform.floors", "sftp"),
        Variant("paramiko", "paramiko: get, as one writes it", HERE, "paramiko_large"),
        Variant("moatbridge", "moatbridge's sftp storage", HERE, "large", ours=True),
    )  # fmt: skip

    def fill(self, place: Place) -> Order:
        self.count = max(1, place.part(self.records))
        return self.drop.large(self.count, place.folder)


class Csv(Alone):
    """The format alone, from a file on disk."""

    name = "alone-csv"
    title = "{count:,} rows of a CSV file on disk to dicts of ten texts"
    records = 1_000_000
    variants: tuple[Variant, ...] = (
        Variant("by-hand", "csv.reader and dict, texts", HERE, "csv_by_hand"),
        Variant("moatbridge", "moatbridge's csv format, texts", HERE, "csv_texts", ours=True),
    )  # fmt: skip

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.path = place.folder / "people.csv"
        with self.path.open("w") as file:
            file.write(",".join([*COLUMNS, "eintritt", "ort"]) + "\n")
            for n in range(self.count):
                texts = map(str, row(n))
                file.write(",".join([*texts, f"20{n % 25:02}-03-{n % 28 + 1:02}", "Berlin"]) + "\n")  # fmt: skip

    def given(self, variant: Variant, count: int, folder: Path) -> Order:
        return {"path": str(self.path)}

    def seen(self, variant: Variant, order: Order, said: Order) -> Any:
        last = [str(each) for each in said["last"]]
        assert last[0] == str(row(self.count - 1)[0]), last
        assert len(last) == len(COLUMNS) + 2, last
        return said["seen"]


class CsvTyped(Csv):
    """The same, and two columns are no texts."""

    name = "alone-csv-typed"
    title = "{count:,} rows of a CSV file on disk to dicts of a whole number, a date and eight texts"
    variants = (
        Variant("texts", "csv.reader and dict, nothing converted", HERE, "csv_by_hand"),
        Variant("by-hand", "csv.reader and dict, types converted", HERE, "csv_by_hand_typed"),
        Variant("moatbridge", "moatbridge's csv format, typed", HERE, "csv_typed", ours=True),
    )  # fmt: skip


WORKS = (Small, Large, Csv, CsvTyped)
