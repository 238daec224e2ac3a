"""A drop folder behind one handle, and the core's part in reading it, for tests."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from moatbridge.adapter import Partition
from moatbridge.testing import net
from moatbridge_sftp import SftpAdapter, SftpConfig, SftpStreamConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from moatbridge.changes import Batch, Change

PEOPLE: dict[str, Any] = {
    "folder": "in",
    "files": "*.csv",
    "content": "delta",
    "format": "csv",
    "key": ["nr"],
    "fields": ["nr", "name"],
    "ripe": "atomic",
}


class Drop:
    """One folder, reached round the adapter by the local disk.

    ``settings`` are the system's; ``base`` is where its url points.
    """

    kind = "file"

    def __init__(self, base: Path, settings: dict[str, Any]) -> None:
        self.base = base
        self.settings = settings
        self.folder = base / "in"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._open: list[SftpAdapter] = []

    @property
    def state(self) -> Path:
        return self.folder / ".moatbridge" / "people"

    def put(self, name: str, text: str | bytes, *, mtime: int | None = None) -> Path:
        """Drop a file in one step; ``mtime`` in seconds."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.draft")
        draft.write_bytes(text.encode() if isinstance(text, str) else text)
        if mtime is not None:
            os.utime(draft, (mtime, mtime))
        draft.replace(path)
        return path

    def rows(self, name: str, *rows: Sequence[Any], mtime: int | None = None) -> Path:
        """Drop a CSV file of ``nr`` and ``name``."""
        lines = ["nr,name", *(",".join(map(str, row)) for row in rows)]
        return self.put(name, "\n".join(lines) + "\n", mtime=mtime)

    def make(
        self,
        streams: dict[str, dict[str, Any]] | None = None,
        system: dict[str, Any] | None = None,
        **people: Any,
    ) -> SftpAdapter:
        """An adapter that is not open; ``people`` overrides settings of one stream."""
        if streams is None:
            streams = {"people": {**PEOPLE, **people}}
        config = SftpConfig(**{**self.settings, **(system or {})})
        adapter = SftpAdapter(
            config,
            {
                name: SftpStreamConfig.model_validate(stream)
                for name, stream in streams.items()
            },
        )
        adapter.net = net(SftpAdapter.endpoints(config))
        self._open.append(adapter)
        return adapter

    def open(self, *args: Any, **people: Any) -> SftpAdapter:
        """An open adapter."""
        adapter = self.make(*args, **people)
        adapter.open()
        return adapter

    def tree(self) -> list[str]:
        """Every file below the base, relative to it."""
        return sorted(
            str(path.relative_to(self.base))
            for path in self.base.rglob("*")
            if path.is_file()
        )

    def close(self) -> None:
        while self._open:
            self._open.pop().close()


class Reader:
    """What the core does with a stream: polls, commits, settles."""

    def __init__(self, adapter: SftpAdapter, stream: str = "people") -> None:
        self.adapter = adapter
        self.stream = stream
        self.cursor: Any = None

    def poll(self, *, settle: bool = True) -> list[Change]:
        """All changes of one poll, then committed and (usually) settled."""
        if self.cursor is None:
            self.cursor = self._last(self.adapter.changes(self.stream, None))[1]
        batches, cursor = self._last(self.adapter.changes(self.stream, self.cursor))
        self.cursor = cursor
        if settle:
            self.adapter.settle(self.stream, self.cursor)
        self.batches = batches
        return [change for batch in batches for change in batch.changes]

    def scan(self, *, settle: bool = True) -> tuple[list[Change], bool]:
        """The changes of one pass, and whether it was complete."""
        batches, cursor = self._last(
            self.adapter.scan(self.stream, Partition(), self.cursor)
        )
        complete = batches[-1].complete
        if settle:
            self.adapter.settle(self.stream, cursor)
        self.cursor = None if complete else cursor
        self.batches = batches
        return [change for batch in batches for change in batch.changes], complete

    @staticmethod
    def _last(batches: Iterator[Batch]) -> tuple[list[Batch], Any]:
        found = list(batches)
        return found, json.loads(json.dumps(found[-1].cursor))


def keys(changes: Sequence[Change]) -> list[str]:
    return [change.ref.key for change in changes]


def until(condition: Any, seconds: float = 10.0) -> None:
    """Wait for a condition, with a deadline."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition never came true"
        time.sleep(0.01)
