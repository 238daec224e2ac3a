"""``file://``: what only the local disk has: links, races, network mounts."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

import pytest

from moatbridge.errors import ConfigurationError
from moatbridge.testing import net
from moatbridge_sftp.storage import StorageFault, open_storage
from moatbridge_sftp.storage import local as local_module

if TYPE_CHECKING:
    from pathlib import Path


def content_of(folder: Path) -> list[str]:
    """Names in a folder of this machine."""
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def base(tmp_path):
    path = tmp_path / "base"
    path.mkdir()
    return path


@pytest.fixture
def storage(base):
    with open_storage(f"file://{base}", net=net([])) as opened:
        yield opened


@pytest.fixture
def outside(tmp_path):
    path = tmp_path / "outside"
    path.mkdir()
    (path / "secret.csv").write_bytes(b"12345")
    return path


def test_a_linked_file_is_not_read(storage, base, outside):
    (base / "a.csv").symlink_to(outside / "secret.csv")
    for call in (
        lambda: list(storage.read("a.csv", size=5)),
        lambda: storage.read_text("a.csv"),
    ):
        with pytest.raises(StorageFault) as caught:
            call()
        assert caught.value.kind == "denied"


def test_a_folder_swapped_for_a_link_leads_nowhere(storage, base, outside):
    (base / "in").mkdir()
    (base / "in" / "secret.csv").write_bytes(b"12345")
    assert storage.stat("in/secret.csv").size == 5
    (base / "in" / "secret.csv").unlink()
    (base / "in").rmdir()
    (base / "in").symlink_to(outside)
    for call in (
        lambda: storage.list("in", limit=9),
        lambda: list(storage.read("in/secret.csv", size=5)),
        lambda: storage.create("in/new", [b"x"]),
        lambda: storage.remove("in/secret.csv"),
        lambda: storage.rename("in/secret.csv", "taken"),
        lambda: storage.make_folder("in/deeper"),
    ):
        with contextlib.suppress(StorageFault):
            call()
        assert (outside / "secret.csv").read_bytes() == b"12345"
    assert content_of(outside) == ["secret.csv"]


def test_the_base_stays_the_one_that_was_opened(storage, base, outside, tmp_path):
    (base / "a.csv").write_bytes(b"mine")
    base.rename(tmp_path / "moved")
    base.symlink_to(outside)
    assert [one.name for one in storage.list(".", limit=9)[0]] == ["a.csv"]


def test_a_pipe_does_not_hang_the_reader(storage, base):
    os.mkfifo(base / "a.csv")
    with pytest.raises(StorageFault) as caught:
        list(storage.read("a.csv", size=5))
    assert caught.value.kind == "denied"
    assert storage.stat("a.csv").kind == "other"


@pytest.mark.parametrize("place", ["nowhere", "file"])
def test_a_base_that_is_no_folder_is_told(tmp_path, place):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigurationError) as caught:
        open_storage(f"file://{tmp_path / place}", net=net([]))
    assert caught.value.code == "sftp.folder"


@pytest.mark.parametrize("at_once", [True, False])
def test_of_six_threads_claiming_each_file_has_one_winner(base, monkeypatch, at_once):
    if not at_once:  # a file system that cannot rename without replacing
        monkeypatch.setattr(local_module, "_rename_at_once", lambda *_: False)
    names = [f"{number}.csv" for number in range(200)]
    for name in names:
        (base / name).write_bytes(name.encode())
    won: list[list[str]] = [[] for _ in range(6)]
    lost: set[str] = set()
    start = threading.Barrier(6)

    def claim(mine: list[str]) -> None:
        with open_storage(f"file://{base}", net=net([])) as opened:
            opened.make_folder("work")
            start.wait(60)
            for name in names:
                try:
                    opened.rename(name, f"work/{name}")
                except StorageFault as fault:
                    lost.add(fault.kind)
                else:
                    mine.append(name)

    threads = [threading.Thread(target=claim, args=(mine,)) for mine in won]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(name for mine in won for name in mine) == sorted(names)
    assert content_of(base / "work") == sorted(names)
    assert content_of(base) == ["work"]
    assert lost <= {"absent", "exists"}


def test_a_loser_of_a_race_of_two_goals_leaves_nothing(storage, base, monkeypatch):
    monkeypatch.setattr(local_module, "_rename_at_once", lambda *_: False)
    (base / "a").write_bytes(b"x")
    real = os.link

    def link_then_lose(*arguments, **more):
        real(*arguments, **more)
        (base / "a").unlink()  # the other one was faster

    monkeypatch.setattr(os, "link", link_then_lose)
    with pytest.raises(StorageFault) as caught:
        storage.rename("a", "b")
    assert caught.value.kind == "absent"
    assert content_of(base) == []


def test_the_file_system_is_named(storage):
    facts = storage.facts()
    assert facts.product.startswith("local folder (")
    assert facts.strict_kex is None
    assert facts.free


@pytest.mark.parametrize("kind", ["nfs4", "cifs"])
def test_a_network_mount_is_named_in_the_warnings(storage, monkeypatch, kind):
    monkeypatch.setattr(local_module, "_file_system", lambda _: kind)
    assert any(kind in one for one in storage.facts().warnings)


def test_names_that_are_gone_are_forgotten(storage, base):
    """A supplier that invents names in another encoding must not fill us up."""
    for number in range(20):
        path = base / os.fsdecode(b"\xff%d.csv" % number)
        path.touch()
        entries, _ = storage.list(".", limit=9)
        assert [len(entries), len(storage._foreign)] == [1, 1]
        path.unlink()


def test_a_name_that_changed_its_encoding_is_read_as_it_is_now(storage, base):
    raw = base / os.fsdecode(b"\xff.csv")
    raw.write_bytes(b"12")
    storage.list(".", limit=9)
    raw.rename(base / "\u00ff.csv")
    ((entry,), _) = storage.list(".", limit=9)
    assert b"".join(storage.read(entry.name, size=2)) == b"12"
