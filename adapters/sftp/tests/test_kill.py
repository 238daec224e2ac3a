"""Killed at every step, again and again: nothing lost, nothing doubled, nothing left."""

from __future__ import annotations

import collections
import csv
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moatbridge.testing.killloop import KillLoop
from servers.drop_folder import PEOPLE, Drop
from servers.openssh import PASSPHRASE

if TYPE_CHECKING:
    from conftest import RemoteDrop

HERE = str(Path(__file__).parent)
FILES, ROWS = 6, 7
PICKUP = (
    "start",
    "rename.before",
    "claim.after",
    "spool.mid",
    "commit.before",
    "commit.after",
    "archive.after",
    "settle.after",
)
PUBLISH = (
    "start",
    "part.after",
    "receipt.draft",
    "rename.before",
    "receipt.after",
    "release.after",
    "done.after",
    "answer.after",
)


class Scene:
    """A drop, the worker's order, and what the ledger holds."""

    def __init__(self, drop: Drop, folder: Path, **more: Any) -> None:
        self.drop = drop
        self.folder = folder
        self.spool = folder / "spool"
        self.spool.mkdir()
        system = {**drop.settings, "spool_dir": str(self.spool), "spool_memory": 1}
        if drop.kind == "sftp":
            server: Any = drop.server  # type: ignore[attr-defined]
            secret = folder / "passphrase"
            secret.write_text(PASSPHRASE)
            system["auth"] = {
                "key": f"file:{server.home / 'client'}",
                "passphrase": f"file:{secret}",
            }
        stream = {**PEOPLE, "page_size": 3, **more.pop("stream", {})}
        self.order = {"folder": str(folder), "system": system, "stream": stream, **more}

    def lives(self, work: str, lives: list[dict[str, Any]]) -> dict[str, int]:
        """Run these lives, then one that ends well."""
        argument = json.dumps(self.order)
        with KillLoop(f"killed:{work}", folder=self.folder, path=[HERE]) as loop:
            for life in lives:
                assert loop.life(argument, **life).status in (0, -9)
            assert loop.life(argument).status == 0
            return loop.passed()

    def rows(self) -> collections.Counter[str]:
        import sys

        sys.path.insert(0, HERE)
        try:
            from killed import ledger
        finally:
            sys.path.remove(HERE)
        db = ledger(str(self.folder))
        seen = collections.Counter(nr for (nr,) in db.execute("select nr from seen"))
        db.close()
        return seen

    def fill(self) -> list[str]:
        wanted = []
        for number in range(FILES):
            rows = [(number * ROWS + row, "x") for row in range(ROWS)]
            self.drop.rows(f"f{number}.csv", *rows)
            wanted += [str(nr) for nr, _ in rows]
        return wanted


def check_pickup(scene: Scene, wanted: list[str]) -> None:
    seen = scene.rows()
    assert sorted(seen, key=int) == wanted, "lost"
    assert set(seen.values()) == {1}, "doubled"
    assert len(scene.drop.tree()) == FILES
    assert all("/archive/" in name for name in scene.drop.tree()), "left in work"
    assert list(scene.spool.iterdir()) == []


def named(points: tuple[str, ...], times: tuple[int, ...]) -> list[dict[str, Any]]:
    return [{"at": (point, n)} for n in times for point in points]


def test_pickup_killed_at_every_step(local: Drop, tmp_path: Path) -> None:
    scene = Scene(local, tmp_path)
    wanted = scene.fill()
    passed = scene.lives("pickup", named(PICKUP, (1, 2)))
    assert set(PICKUP) <= set(passed)
    check_pickup(scene, wanted)


def test_pickup_killed_at_random(local: Drop, tmp_path: Path) -> None:
    scene = Scene(local, tmp_path)
    wanted = scene.fill()
    scene.lives("pickup", [{"after": 0.0005 * (n % 17)} for n in range(40)])
    check_pickup(scene, wanted)


def test_pickup_over_ssh_killed_at_every_step(
    remote: RemoteDrop, tmp_path: Path
) -> None:
    scene = Scene(remote, tmp_path)
    wanted = scene.fill()
    scene.lives("pickup", named(PICKUP, (1,)))
    check_pickup(scene, wanted)


def test_settling_before_the_commit_would_lose_records(
    local: Drop, tmp_path: Path
) -> None:
    """The negative control: the loop sees what it is there to see."""
    scene = Scene(local, tmp_path, settle_first=True)
    wanted = scene.fill()
    scene.lives("pickup", [{"at": ("archive.after", 1)}])
    assert sorted(scene.rows(), key=int) != wanted


BATCHES = 6
OUT = {
    "folder": "in",
    "publish": True,
    "publish_done": True,
    "fields": ["nr", "name"],
    "files": "*.csv",
}


def consumed(drop: Drop, taken: Path) -> None:
    """The consumer takes what is complete."""
    taken.mkdir(exist_ok=True)
    for done in drop.folder.glob("*.done"):
        data = done.with_suffix(".csv")
        if data.exists():
            shutil.move(data, taken / f"{len(list(taken.iterdir()))}-{data.name}")
        done.unlink()


def check_publish(scene: Scene, taken: Path) -> collections.Counter[str]:
    consumed(scene.drop, taken)
    seen: collections.Counter[str] = collections.Counter()
    for path in taken.iterdir():
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 3, "half a file"
        seen.update(row["nr"] for row in rows)
    return seen


def publish_lives(
    scene: Scene, taken: Path, lives: list[dict[str, Any]], *, forget: bool = False
) -> None:
    argument = json.dumps(scene.order)
    with KillLoop("killed:publish", folder=scene.folder, path=[HERE]) as loop:
        for life in [*lives, {}]:
            assert loop.life(argument, **life).status in (0, -9)
            consumed(scene.drop, taken)
            if forget:
                for receipt in (scene.drop.state / "sent").glob("*"):
                    receipt.unlink()


def test_publishing_killed_at_every_step(local: Drop, tmp_path: Path) -> None:
    scene = Scene(local, tmp_path, stream=OUT, batches=BATCHES)
    taken = tmp_path / "taken"
    publish_lives(scene, taken, named(PUBLISH, (1, 2, 3)))
    seen = check_publish(scene, taken)
    assert sorted(map(int, seen)) == list(range(BATCHES * 3)), "lost"
    assert set(seen.values()) == {1}, "doubled"


def test_publishing_over_ssh_killed_at_every_step(
    remote: RemoteDrop, tmp_path: Path
) -> None:
    scene = Scene(remote, tmp_path, stream=OUT, batches=BATCHES)
    taken = tmp_path / "taken"
    publish_lives(scene, taken, named(PUBLISH, (1,)))
    seen = check_publish(scene, taken)
    assert sorted(map(int, seen)) == list(range(BATCHES * 3)), "lost"
    assert set(seen.values()) == {1}, "doubled"


def test_publishing_without_receipts_would_double(local: Drop, tmp_path: Path) -> None:
    """The negative control."""
    scene = Scene(local, tmp_path, stream=OUT, batches=BATCHES)
    taken = tmp_path / "taken"
    publish_lives(scene, taken, [{"at": ("done.after", 1)}], forget=True)
    assert max(check_publish(scene, taken).values()) == 2
