"""Two files of changes, one right after the other, by way of a real drop folder."""

from __future__ import annotations

import pytest

from flow.stillness import StillWorld
from moatbridge.config import parse
from moatbridge.registry import Registry
from moatbridge.run import Bridge
from moatbridge.testing import MemoryAdapter
from moatbridge_sftp import SftpAdapter

DROP = {
    "folder": "in", "files": "*.csv", "content": "delta", "format": "csv",
    "key": ["uid"], "ripe": "atomic", "action": {"field": "what"},
    "fields": ["what", "uid", "given", "family", "mail", "phone", "manager"],
}  # fmt: skip


class FileWorld(StillWorld):
    def __init__(self, folder):
        self.drop = folder / "drop" / "in"
        self.drop.mkdir(parents=True)
        super().__init__(folder, count=0)
        self.bridge.apply(self.bridge.plan("people"), confirm=0)

    def config(self):
        config = super().config()
        config["adapters"] = ["sftp", "there"]
        config["systems"]["hr"] = {
            "adapter": "sftp",
            "url": f"file://{self.folder / 'drop'}",
            "max_label": "confidential",
        }
        config["streams"]["hr/people"] |= DROP
        return config

    def open(self):
        registry = Registry(discover=False)
        registry.register("sftp", SftpAdapter)
        registry.register("there", type("There", (MemoryAdapter,), {"name": "there"}))
        return Bridge(parse(self.config(), registry), registry=registry)

    def put_file(self, name, *rows):
        draft = self.drop / f".{name}"
        head = ",".join(DROP["fields"])
        lines = [f"{what},{uid},{given},King,,1," for what, uid, given in rows]
        draft.write_text("\n".join([head, *lines]) + "\n")
        draft.rename(self.drop / name)

    def read(self):
        with self.bridge.ledger.write() as tx:
            tx.run("UPDATE partition SET not_before=0 WHERE kind='live'")
        return self.drain("live")


@pytest.fixture
def world(tmp_path, at_once):
    made = FileWorld(tmp_path)
    yield made
    made.bridge.close()


@pytest.mark.parametrize("polls", [1, 2])
def test_of_two_files_the_later_one_counts(world, polls):
    world.put_file("1.csv", ("I", "a", "Ada"), ("I", "b", "Bob"), ("I", "c", "Cy"))
    if polls == 2:
        world.read()
    world.put_file("2.csv", ("U", "a", "Augusta"), ("D", "b", ""))
    world.read()
    world.drain()
    there = world.there()
    assert {uid: row["given"] for uid, row in there.items()} == {
        "a": "Augusta",
        "c": "Cy",
    }
    assert world.states().get("REJECTED", 0) == 0
    assert world.value("SELECT count(*) FROM parcel WHERE state<10") == 0


def test_a_file_that_comes_while_the_last_one_is_sent(world):
    world.put_file("1.csv", ("I", "a", "Ada"))
    world.read()
    world.drain()
    world.put_file("2.csv", ("U", "a", "Augusta"))
    world.read()
    world.put_file("3.csv", ("U", "a", "Ada"))
    world.read()
    world.drain()
    assert world.there()["a"]["given"] == "Ada"
    world.put_file("4.csv", ("D", "a", ""))
    world.read()
    world.put_file("5.csv", ("I", "a", "Back"))
    world.read()
    world.drain()
    assert world.there()["a"]["given"] == "Back"
    assert world.there()["a"]["active"] is not False
