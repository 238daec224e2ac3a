"""The handle on a folder of files that the conformance suite needs, but two lines."""

from __future__ import annotations

import secrets
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from moatbridge.testing.harness import Harness

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from moatbridge.adapter import Adapter
    from moatbridge.changes import Data


class FolderHarness(Harness):
    """A stream whose records are the files of a folder, reached by the file system.

    Made for adapters of `moatbridge.adapter.record_files`; any whose configuration has
    ``folder`` and ``page_size`` will do. An author writes `file` and `record`, by other
    means than the adapter's own functions where that is easy::

        class PeopleHarness(FolderHarness):
            adapter = CardsAdapter
            suffix = ".json"
            unique = "login"
            clearable = "mail"

            def file(self, record: Data) -> bytes:
                return json.dumps(record).encode()

            def record(self, data: bytes) -> Data:
                return json.loads(data)

    Samples have random text in ``unique``, and an address in ``clearable``; say more in
    `sample` and `change` if records need more.

    Args:
        folder: An empty folder, such as pytest's ``tmp_path``.

    Class attributes:
        adapter: The adapter's class.
        suffix: How the names of the files end.
        subfolder: They lie in this folder below the configured one.
        settings: More settings of the adapter.
        damage: What `spoil` appends to a file; override `spoilt` where a file remains
            readable with that.
    """

    adapter: ClassVar[type[Adapter[Any]]]
    suffix: ClassVar[str]
    subfolder: ClassVar[str] = ""
    settings: ClassVar[Mapping[str, Any]] = {}
    damage: ClassVar[bytes] = b"\xff"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home: Path = folder / self.subfolder
        self.home.mkdir(parents=True, exist_ok=True)
        self._spoilt: dict[Path, Data] = {}

    @abstractmethod
    def file(self, record: Data) -> bytes:
        """A new file with that record, and a key of its own if that is in the file."""

    @abstractmethod
    def record(self, data: bytes) -> Data:
        """The record in a sound file; the field ``unique`` is enough of it."""

    def spoilt(self, data: bytes) -> bytes:
        """The same file, unreadable."""
        return data + self.damage

    def files(self) -> dict[Path, Data]:
        """Every file and its record; of one that was spoilt, what it held before."""
        paths = sorted(self.home.glob(f"*{self.suffix}"))
        return {
            path: self._spoilt.get(path) or self.record(path.read_bytes())
            for path in paths
        }

    def make(
        self,
        *,
        endpoint: tuple[str, int] | None = None,
        credentials: Literal["good", "bad"] = "good",
    ) -> Adapter[Any]:
        """See `Harness.make`."""
        del endpoint, credentials
        given = {"folder": self.folder, "page_size": 5, **self.settings}
        return self.adapter(self.adapter.Config(**given), {})

    def sample(self, count: int) -> list[Data]:
        """See `Harness.sample`."""
        values = [secrets.token_hex(8) for _ in range(count)]
        return [{self.unique: value, **self._cleared(value)} for value in values]

    def seed(self, records: Sequence[Data]) -> None:
        """See `Harness.seed`."""
        for record in records:
            path = self.home / f"{secrets.token_hex(8)}{self.suffix}"
            path.write_bytes(self.file(record))

    def read_all(self) -> Sequence[Data]:
        """See `Harness.read_all`."""
        return list(self.files().values())

    def remove(self, values: Sequence[str]) -> None:
        """See `Harness.remove`."""
        for path, record in self.files().items():
            if record[self.unique] in values:
                path.unlink()
                self._spoilt.pop(path, None)

    def spoil(self, value: str) -> None:
        """See `Harness.spoil`."""
        for path, record in self.files().items():
            if record[self.unique] == value:
                self._spoilt[path] = record
                path.write_bytes(self.spoilt(path.read_bytes()))

    def change(self, record: Data) -> Data:
        """See `Harness.change`; another value for ``clearable``."""
        del record
        return self._cleared(secrets.token_hex(8))

    def broken(self) -> Data:
        """See `Harness.broken`; without a value for ``unique``."""
        return {name: None for name in (self.unique, self.clearable) if name}

    def _cleared(self, value: str) -> Data:
        return {self.clearable: f"{value}@mail.example"} if self.clearable else {}
