"""Files too large for the spool's memory: what is held of them, and for how long."""

from __future__ import annotations

import contextlib
import gzip
import os
import random
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from moatbridge_sftp import SftpConfig
from moatbridge_sftp.pickup.spool import Spool
from servers.drop_folder import Drop, Reader, keys

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20


@pytest.fixture
def held() -> Iterator[Any]:
    """The most bytes that Python's objects took since the test began."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        yield lambda: tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def spooled(folder: Path) -> list[str]:
    """Nameless files of this process in a folder."""
    links = []
    for number in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(str(number.readlink()))
    return [link for link in links if link.startswith(f"{folder}/")]


def test_a_file_listed_as_large_is_on_disk_from_its_first_byte(
    tmp_path: Path, held: Any
) -> None:
    spool = Spool(SftpConfig(url=f"file://{tmp_path}", spool_dir=str(tmp_path)))
    piece = b"x" * 65536
    taken = spool.take((piece for _ in range(32 * MIB // len(piece))), 32 * MIB)
    assert held() < MIB
    assert len(taken.file.read(17 * MIB)) == 17 * MIB
    taken.file.close()


def test_so_is_what_a_large_packed_file_holds(local: Drop, held: Any) -> None:
    dice = random.Random(7)
    rows = [(n, dice.randbytes(24_000).hex()) for n in range(300)]
    plain = "\n".join(["nr,name", *(f"{n},{name}" for n, name in rows), ""])
    local.put("a.csv.gz", gzip.compress(plain.encode(), 1))
    del rows, plain
    adapter = local.open(files="*.csv.gz", system={"spool_memory": 6 * MIB})
    start = next(adapter.changes("people", None)).cursor
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    batches = adapter.changes("people", start)
    assert len(next(batches).changes) > 0
    grew = tracemalloc.get_traced_memory()[1] - before
    batches.close()
    assert grew < 6 * MIB


def begun(drop: Drop, tmp_path: Path, **system: Any) -> tuple[Reader, Path]:
    """A reader that left off in the first file, and where that file lies now."""
    drop.rows("a.csv", *((n, "first") for n in range(9)))
    (tmp_path / "spool").mkdir()
    system = {"spool_dir": str(tmp_path / "spool"), **system}
    reader = Reader(drop.open(page_size=3, system=system))
    start = next(reader.adapter.changes("people", None)).cursor
    batches = reader.adapter.changes("people", start)
    reader.cursor = next(batches).cursor
    batches.close()  # the time of the pass is over
    [work] = drop.state.rglob("work/*.csv")
    return reader, work


def rewrite(path: Path) -> None:
    """Other content, that no listing shows."""
    listed = path.stat()
    path.write_bytes(path.read_bytes().replace(b"first", b"other"))
    os.utime(path, ns=(listed.st_atime_ns, listed.st_mtime_ns))


def names(reader: Reader) -> dict[str, str]:
    return {change.ref.key: change.data["name"] for change in reader.poll()}


def test_the_next_pass_goes_on_in_a_large_file_without_taking_it_again(
    local: Drop, tmp_path: Path
) -> None:
    reader, work = begun(local, tmp_path, spool_memory=1)
    assert len(spooled(tmp_path / "spool")) == 1
    rewrite(work)  # would show, if it was taken again
    assert names(reader) == {str(n): "first" for n in range(3, 9)}
    assert spooled(tmp_path / "spool") == []


def test_a_small_file_is_not_kept_in_memory_between_passes(
    local: Drop, tmp_path: Path
) -> None:
    reader, work = begun(local, tmp_path)
    rewrite(work)
    assert names(reader) == {str(n): "other" for n in range(9)}


def test_an_older_position_in_the_kept_file_reads_from_there(
    drop: Drop, tmp_path: Path
) -> None:
    reader, _work = begun(drop, tmp_path, spool_memory=1)
    position = reader.cursor
    batches = reader.adapter.changes("people", position)
    assert keys(next(batches).changes) == ["3", "4", "5"]
    batches.close()  # and what it told was never committed
    reader.cursor = position
    assert keys(reader.poll()) == [str(n) for n in range(3, 9)]
    assert "archive" in drop.tree()[0]


def test_what_is_kept_is_forgotten_when_another_file_is_read(
    local: Drop, tmp_path: Path
) -> None:
    reader, work = begun(local, tmp_path, spool_memory=1)
    work.unlink()
    local.rows("b.csv", (20, "second"))
    assert names(reader) == {"20": "second"}
    assert spooled(tmp_path / "spool") == []


def test_what_is_kept_goes_with_the_connection(local: Drop, tmp_path: Path) -> None:
    reader, work = begun(local, tmp_path, spool_memory=1)
    batches = reader.adapter.changes("people", reader.cursor)
    next(batches)
    reader.adapter.close()
    batches.close()  # a pass that ends after its connection keeps nothing either
    assert spooled(tmp_path / "spool") == []
    rewrite(work)
    reader.adapter.open()
    assert names(reader) == {str(n): "other" for n in range(9)}
