"""Publishing where the state folder is tampered with, or the last step is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from moatbridge.changes import Intent
from moatbridge.errors import ConfigurationError
from moatbridge_sftp.storage import StorageFault

if TYPE_CHECKING:
    from moatbridge_sftp import SftpAdapter
    from moatbridge_sftp.storage.base import FaultKind
    from servers.drop_folder import Drop

OUT: dict[str, Any] = {
    "folder": "out",
    "content": "delta",
    "publish": True,
    "format": "csv",
    "key": ["nr"],
    "fields": ["nr", "name"],
}
BATCH = [Intent("k" * 26, "create", None, {"nr": "1", "name": "x"})]


def opened(drop: Drop, **more: Any) -> SftpAdapter:
    (drop.base / "out").mkdir(exist_ok=True)
    return drop.open({"out": {**OUT, **more}})


def suffixes(drop: Drop) -> list[str]:
    return sorted(p.suffix for p in (drop.base / "out").iterdir() if p.is_file())


@pytest.mark.parametrize("kind", ["failure", "full", "denied"])
def test_a_file_without_its_done_file_is_in_doubt_until_the_repeat(
    local: Drop, kind: FaultKind
) -> None:
    adapter = opened(local, publish_done=True)
    storage: Any = adapter._storage
    rename = storage.rename

    def refusing(old: str, new: str) -> None:
        if new.endswith(".done"):
            raise StorageFault(kind)
        rename(old, new)

    storage.rename = refusing
    assert [r.outcome for r in adapter.write("out", BATCH)] == ["unknown"]
    assert suffixes(local) == [".csv"]
    storage.rename = rename
    assert [r.outcome for r in adapter.write("out", BATCH)] == ["applied"]
    assert suffixes(local) == [".csv", ".done"]


@pytest.mark.parametrize(
    "forged",
    [
        {"part": "private/pay.csv"},
        {"final": "elsewhere/x.csv"},
        {"done_part": "private/pay.csv", "done": "out/pay.csv"},
    ],
)
def test_a_forged_receipt_moves_no_other_file_of_the_base(
    local: Drop, forged: dict[str, str]
) -> None:
    adapter = opened(local, publish_done=True)
    adapter.write("out", BATCH)
    for path in (local.base / "out").glob("*.*"):
        if path.is_file():
            path.unlink()
    for name in ("private", "elsewhere"):
        (local.base / name).mkdir()
    (local.base / "private" / "pay.csv").write_text("salaries")
    (receipt,) = (local.base / "out" / ".moatbridge" / "out" / "sent").iterdir()
    receipt.write_text(json.dumps({**json.loads(receipt.read_text()), **forged}))
    with pytest.raises(ConfigurationError) as caught:
        adapter.write("out", BATCH)
    assert caught.value.code == "sftp.receipt"
    assert (local.base / "private" / "pay.csv").read_text() == "salaries"
    assert suffixes(local) == []


def test_a_receipt_of_many_brackets_is_an_unreadable_receipt(local: Drop) -> None:
    adapter = opened(local)
    adapter.write("out", BATCH)
    (receipt,) = (local.base / "out" / ".moatbridge" / "out" / "sent").iterdir()
    receipt.write_text("[" * 60_000)
    with pytest.raises(ConfigurationError) as caught:
        adapter.write("out", BATCH)
    assert caught.value.code == "sftp.receipt"


@pytest.mark.parametrize(
    "forged",
    [
        {"sum": "payroll/release.done"},
        {"sum": "out/other.csv"},
        {"done": "payroll/release.done"},
        {"done": "out/other.csv"},
        {"done": ""},
        {"sum_part": "", "done_part": ""},
    ],
)
def test_a_forged_receipt_names_no_other_file_beside(
    local: Drop, forged: dict[str, str]
) -> None:
    """Who writes into the state folder must not release files into other folders."""
    more = {"publish_done": True, "publish_checksum": "sha256"}
    adapter = opened(local, **more)
    (local.base / "payroll").mkdir()
    adapter.write("out", BATCH)
    for path in (local.base / "out").glob("*.*"):
        if path.is_file():
            path.unlink()
    (receipt,) = (local.base / "out" / ".moatbridge" / "out" / "sent").iterdir()
    told = json.loads(receipt.read_text())
    for part in ("sum_part", "done_part"):
        (local.base / told[part]).write_text("forged")
    receipt.write_text(json.dumps({**told, **forged}))
    with pytest.raises(ConfigurationError) as caught:
        opened(local, **more).write("out", BATCH)
    assert caught.value.code == "sftp.receipt"
    assert list((local.base / "payroll").iterdir()) == []
    assert suffixes(local) == []


def test_a_receipt_outlives_a_change_of_the_checksum(local: Drop) -> None:
    opened(local, publish_checksum="sha256").write("out", BATCH)
    for more in ({}, {"publish_checksum": "md5"}):
        again = opened(local, **more).write("out", BATCH)
        assert [r.outcome for r in again] == ["applied"]
    assert suffixes(local) == [".csv", ".sha256"]
