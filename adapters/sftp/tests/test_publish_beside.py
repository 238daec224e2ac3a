"""Published files with gzip, with a checksum file beside them, without receipts."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

from moatbridge.changes import Intent
from moatbridge.errors import NotApplied
from moatbridge_sftp.storage import StorageFault
from servers.drop_folder import PEOPLE, Drop, Reader, keys

if TYPE_CHECKING:
    from moatbridge_sftp import SftpAdapter

OUT: dict[str, Any] = {
    "folder": "out",
    "content": "delta",
    "publish": True,
    "format": "csv",
    "key": ["nr"],
    "fields": ["nr", "name"],
    "publish_gzip": True,
    "publish_checksum": "sha256",
    "publish_done": True,
}
BATCH = [Intent("k" * 26, "create", None, {"nr": "1", "name": "x"})]


def opened(drop: Drop, **more: Any) -> SftpAdapter:
    folder = drop.base / "out"
    if not folder.exists():
        folder.mkdir()
        folder.chmod(0o777)
    return drop.open({"out": {**OUT, **more}})


def names(drop: Drop) -> list[str]:
    return sorted(p.name for p in (drop.base / "out").iterdir() if p.is_file())


def test_a_packed_file_has_its_checksum_beside_it(drop: Drop) -> None:
    assert [r.outcome for r in opened(drop).write("out", BATCH)] == ["applied"]
    done, data, sums = names(drop)
    assert (data[-7:], done, sums) == (".csv.gz", f"{data[:-3]}.done", f"{data}.sha256")
    packed = (drop.base / "out" / data).read_bytes()
    assert gzip.decompress(packed) == b"nr,name\r\n1,x\r\n"
    told = (drop.base / "out" / sums).read_text()
    assert told == f"{hashlib.sha256(packed).hexdigest()}  {data}\n"


def test_what_was_published_so_is_read_by_our_own_reader(local: Drop) -> None:
    opened(local, publish_checksum="md5").write("out", BATCH)
    streams = {"back": {**PEOPLE, "folder": "out", "files": "*.gz", "ripe": "sidecar"}}
    reader = Reader(local.open(streams), "back")
    assert keys(reader.poll()) == ["1"]


def test_a_file_name_that_is_taken_gets_no_checksum_file(local: Drop) -> None:
    adapter = opened(local, file_name="x-{key}.{ext}")
    adapter.write("out", BATCH)
    (data,) = [name for name in names(local) if name.endswith(".gz")]
    for path in (local.base / "out" / ".moatbridge" / "out" / "sent").iterdir():
        path.unlink()
    for name in names(local):
        (local.base / "out" / name).unlink()
    (local.base / "out" / data).write_text("somebody's")
    (receipt,) = adapter.write("out", BATCH)
    assert (receipt.outcome, receipt.code) == ("rejected", "sftp.name-taken.conflict")
    assert names(local) == [data]


@pytest.mark.parametrize("effect", [True, False])
def test_a_batch_with_a_checksum_that_broke_off_anywhere_is_published_once(
    local: Drop, *, effect: bool
) -> None:
    """The answer to each rename in turn is lost, before and after it took effect."""
    for broken in range(4):
        adapter = opened(local)
        storage: Any = adapter._storage
        rename, calls = storage.rename, [0]

        def lost(
            old: str, new: str, *, rename: Any = rename, calls: Any = calls,
            broken: int = broken,
        ) -> None:  # fmt: skip
            calls[0] += 1
            if calls[0] - 1 != broken or effect:
                rename(old, new)
            if calls[0] - 1 == broken:
                raise NotApplied("lost", code="sftp.unreachable")

        storage.rename = lost
        batch = [Intent(f"{broken}{effect}" * 5, "create", None, {"nr": f"{broken}"})]
        try:
            adapter.write("out", batch)
        except NotApplied:
            assert broken == 0  # the receipt: nothing took effect
        again = opened(local).write("out", batch)
        assert [r.outcome for r in again] == ["applied"]
        assert [n.rpartition(".")[2] for n in names(local)] == ["done", "gz", "sha256"]
        for name in names(local):
            (local.base / "out" / name).unlink()
        assert [r.outcome for r in opened(local).write("out", batch)] == ["applied"]
        assert names(local) == []


# --- without receipts ---------------------------------------------------------------


def without_folders(
    drop: Drop, monkeypatch: pytest.MonkeyPatch, **more: Any
) -> SftpAdapter:
    """An account that may write files and make no folder."""
    adapter = opened(drop, **more)

    def refused(_path: str) -> None:
        raise StorageFault("denied")

    monkeypatch.setattr(adapter._storage, "make_folder", refused)
    return adapter


def test_where_no_state_folder_can_be_made_the_stream_is_not_keyed(
    drop: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert opened(drop).traits("out").dedup == "keyed"
    shutil.rmtree(drop.base / "out" / ".moatbridge")
    adapter = without_folders(drop, monkeypatch)
    assert adapter.traits("out").dedup == "none"
    assert any("no receipts" in text for text in adapter.probe().warnings)
    for _ in range(2):  # a repeat finds the file
        assert [r.outcome for r in adapter.write("out", BATCH)] == ["applied"]
        kinds = [name.rpartition(".")[2] for name in names(drop)]
        assert kinds == ["done", "gz", "sha256"]
    assert not (drop.base / "out" / ".moatbridge").exists()


@pytest.mark.parametrize("effect", [True, False])
@pytest.mark.parametrize("step", ["create", "rename"])
def test_without_receipts_a_batch_that_broke_off_is_whole_after_the_repeat(
    local: Drop, monkeypatch: pytest.MonkeyPatch, step: str, *, effect: bool
) -> None:
    for broken in range(3):
        adapter = without_folders(local, monkeypatch)
        storage: Any = adapter._storage
        original, calls = getattr(storage, step), [0]

        def lost(
            *args: Any, original: Any = original, calls: Any = calls,
            broken: int = broken,
        ) -> Any:  # fmt: skip
            calls[0] += 1
            found = None
            if calls[0] - 1 != broken or effect:
                found = original(*args)
            if calls[0] - 1 == broken:
                raise NotApplied("lost", code="sftp.unreachable")
            return found

        setattr(storage, step, lost)
        with contextlib.suppress(NotApplied):
            adapter.write("out", BATCH)
        again = without_folders(local, monkeypatch).write("out", BATCH)
        assert [r.outcome for r in again] == ["applied"]
        kinds = [name.rpartition(".")[2] for name in names(local)]
        assert kinds == ["done", "gz", "sha256"], (broken, names(local))
        for name in names(local):
            (local.base / "out" / name).unlink()


def test_without_receipts_files_of_the_consumer_stay_as_they_are(
    local: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {"file_name": "x-{key}.{ext}", "publish_gzip": False}
    out = local.base / "out"

    def again() -> list[tuple[str, str]]:
        adapter = without_folders(local, monkeypatch, **named)
        return [(r.outcome, r.code) for r in adapter.write("out", BATCH)]

    assert again() == [("applied", "")]
    data, done, sums = (f"{names(local)[0][:-4]}{e}" for e in (".csv", ".done", ".csv.sha256"))  # fmt: skip
    assert names(local) == [data, sums, done]
    (out / data).unlink()  # taken; the done file says that it was there
    (out / done).write_text("read by the consumer")
    (out / sums).write_text("their own copy")
    assert again() == [("unknown", "sftp.unknown")]
    (out / done).unlink()
    assert again() == [("rejected", "sftp.name-taken.conflict")]
    assert {n: (out / n).read_text() for n in names(local)} == {sums: "their own copy"}
    (out / sums).unlink()
    assert again() == [("applied", "")]


def test_without_receipts_a_checksum_that_was_begun_names_the_file(
    local: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file's name holds the time: the repeat must not leave a second checksum."""
    without_folders(local, monkeypatch).write("out", BATCH)
    first = names(local)
    for name in first:
        if not name.endswith(".sha256"):
            (local.base / "out" / name).unlink()
    later = time.time() + 90
    monkeypatch.setattr("time.time", lambda: later)
    again = without_folders(local, monkeypatch).write("out", BATCH)
    assert [r.outcome for r in again] == ["applied"]
    assert names(local) == first
