"""The shipped conformance suite: snapshots, deltas and publishing, local and on sshd."""

from __future__ import annotations

import csv
import itertools
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from moatbridge.changes import Ref
from moatbridge.testing import AdapterConformance, Harness
from moatbridge_sftp import SftpAdapter
from servers.openssh import PASSPHRASE, PASSWORD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.adapter import Adapter
    from moatbridge.changes import Data
    from moatbridge.testing.stage import Stage
    from servers.drop_folder import Drop

_NUMBERS = itertools.count(1000)
FIELDS = ("nr", "login", "phone")
SNAPSHOT: dict[str, Any] = {
    "max_rejects": 1,
    "folder": "in",
    "files": "*.csv",
    "content": "snapshot",
    "format": "csv",
    "key": ["nr"],
    "fields": FIELDS,
    "ripe": "atomic",
    "page_size": 5,
}
DELTA = {**SNAPSHOT, "content": "delta"}
PUBLISH = {
    **DELTA,
    "publish": True,
    "fields": [*FIELDS, "kz"],
    "action": {"field": "kz", "upsert": "U", "delete": "D"},
}


class FolderHarness(Harness):
    """A folder reached round the adapter: by the disk it lies on."""

    unique = "login"
    clearable = "phone"
    settings = SNAPSHOT

    def __init__(self, drop: Drop) -> None:
        self.drop = drop
        if drop.kind == "sftp":
            self.endpoint = drop.server.endpoint  # type: ignore[attr-defined]
            self.canaries = [PASSWORD, PASSPHRASE]

    def make(self, *, endpoint: Any = None, credentials: Any = "good") -> Adapter[Any]:
        system: dict[str, Any] = {}
        if self.drop.kind == "sftp":
            server: Any = self.drop.server  # type: ignore[attr-defined]
            account = "password"
            host, port = endpoint or server.endpoint
            system["url"] = server.url(account, self.drop.name, port)  # type: ignore[attr-defined]
            system["auth"] = server.auth(account)
            if credentials == "bad":
                from servers.openssh import held

                system["auth"] = {"password": held("quite-another-password")}
            assert host == "127.0.0.1"
        return self.drop.make({"people": self.settings}, system)

    def sample(self, count: int) -> list[Data]:
        return [
            {
                "nr": str(next(_NUMBERS)),
                "login": f"u{uuid.uuid4().hex}",
                "phone": f"+49 {uuid.uuid4().int % 10**12}",
            }
            for _ in range(count)
        ]

    def _drop(self, rows: Sequence[Data], columns: Sequence[str] = FIELDS) -> None:
        lines = [",".join(columns)]
        lines += [",".join(row.get(c) or "" for c in columns) for row in rows]
        self.drop.put(f"p{next(_NUMBERS):09}.csv", "\n".join(lines) + "\n")

    def _files(self) -> list[list[dict[str, str]]]:
        """Every file, in the order in which it was dropped."""
        paths = sorted(
            self.drop.base.rglob("*.csv"), key=lambda path: path.stat().st_mtime_ns
        )
        found = []
        for path in paths:
            with path.open(newline="") as file:
                found.append(list(csv.DictReader(file)))
        return found


class SnapshotHarness(FolderHarness):
    crowd = 4000  # the file's lines are parsed a thousand at once

    def seed(self, records: Sequence[Data]) -> None:
        self._drop([*self.read_all(), *records])

    def read_all(self) -> list[Data]:
        files = self._files()
        if not files:
            self._drop([])
        return [dict(row) for row in files[-1]] if files else []

    def spoil(self, value: str) -> None:
        # one column too many
        rows = [
            {**row, "login": f"{value},x"} if row["login"] == value else row
            for row in self.read_all()
        ]
        self._drop(rows)

    def remove(self, values: Sequence[str]) -> None:
        gone = set(values)
        self._drop([row for row in self.read_all() if row["login"] not in gone])


class DeltaHarness(FolderHarness):
    settings = DELTA

    def seed(self, records: Sequence[Data]) -> None:
        self._drop(records)

    def read_all(self) -> list[Data]:
        return [dict(row) for file in self._files() for row in file]

    def remove(self, values: Sequence[str]) -> None:
        for path in self.drop.base.rglob("*.csv"):
            path.unlink()


class PublishHarness(FolderHarness):
    settings = PUBLISH

    def seed(self, records: Sequence[Data]) -> None:
        self._drop([{**row, "kz": "U"} for row in records], [*FIELDS, "kz"])

    def read_all(self) -> list[Data]:
        now: dict[str, Data] = {}
        for row in itertools.chain.from_iterable(self._files()):
            now.pop(row["nr"], None)
            if row["kz"] == "U":
                now[row["nr"]] = dict(row)
        return [
            {name: value or None for name, value in row.items()} for row in now.values()
        ]

    def remove(self, values: Sequence[str]) -> None:
        gone = [row for row in self.read_all() if row["login"] in values]
        if gone:
            self._drop([{**row, "kz": "D"} for row in gone], [*FIELDS, "kz"])

    def change(self, record: Data) -> Data:
        return {"phone": "+49 7"}

    def broken(self) -> Data:
        return {"nr": None, "login": "nobody", "phone": None}

    def absent(self) -> Ref:
        return Ref(str(next(_NUMBERS)))


class TestLocalSnapshot(AdapterConformance):
    adapter = SftpAdapter
    features = frozenset({"rejects"})
    lacks = frozenset({"CanFollow", "CanWrite"})

    @pytest.fixture
    def harness(self, local: Drop) -> Harness:
        return SnapshotHarness(local)


class TestRemoteSnapshot(TestLocalSnapshot):
    adapter = SftpAdapter
    features = TestLocalSnapshot.features | {"network", "credentials"}

    @pytest.fixture
    def harness(self, remote: Drop) -> Harness:
        return SnapshotHarness(remote)


class TestLocalDelta(AdapterConformance):
    adapter = SftpAdapter
    lacks = frozenset({"CanScan", "CanWrite"})

    @pytest.fixture
    def harness(self, local: Drop) -> Harness:
        return DeltaHarness(local)


class TestRemoteDelta(TestLocalDelta):
    adapter = SftpAdapter
    features = frozenset({"network", "credentials"})

    @pytest.fixture
    def harness(self, remote: Drop) -> Harness:
        return DeltaHarness(remote)


one_way = pytest.mark.xfail(
    strict=True,
    reason="a folder does not know what its consumer holds: an update needs `before`, nothing is ever gone, and a create replaces what has its key",
)


class TestLocalPublish(AdapterConformance):
    adapter = SftpAdapter
    lacks = frozenset({"CanScan", "CanFollow", "CanSettle"})
    features = frozenset({"keyed"})

    @pytest.fixture
    def harness(self, local: Drop) -> Harness:
        return PublishHarness(local)

    @one_way
    def test_a_create_never_takes_somebody_elses_record(self, stage: Stage) -> None:
        super().test_a_create_never_takes_somebody_elses_record(stage)

    @one_way
    def test_repeating_an_update_has_no_second_effect(self, stage: Stage) -> None:
        super().test_repeating_an_update_has_no_second_effect(stage)

    @one_way
    def test_updating_a_missing_record_is_rejected_as_gone(self, stage: Stage) -> None:
        super().test_updating_a_missing_record_is_rejected_as_gone(stage)


class TestRemotePublish(AdapterConformance):
    adapter = SftpAdapter
    lacks = TestLocalPublish.lacks
    features = TestLocalPublish.features | {"network", "credentials"}

    @pytest.fixture
    def harness(self, remote: Drop) -> Harness:
        return PublishHarness(remote)

    @one_way
    def test_a_create_never_takes_somebody_elses_record(self, stage: Stage) -> None:
        super().test_a_create_never_takes_somebody_elses_record(stage)

    @one_way
    def test_repeating_an_update_has_no_second_effect(self, stage: Stage) -> None:
        super().test_repeating_an_update_has_no_second_effect(stage)

    @one_way
    def test_updating_a_missing_record_is_rejected_as_gone(self, stage: Stage) -> None:
        super().test_updating_a_missing_record_is_rejected_as_gone(stage)
