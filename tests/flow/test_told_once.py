"""What a source tells once, and nobody can look at again, is never lost nor overtaken."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import pytest

from flow.stillness import LOOSE, REQUEST, StillWorld
from moatbridge.changes import Batch, Change
from moatbridge.resilience import crash
from moatbridge.testing import MemoryAdapter

DOWN = 1000


class ToldOnce(MemoryAdapter):
    """A journal of what was said at the time; it is all that there is."""

    name = "here"
    journals: ClassVar[dict] = {}

    def streams(self):
        without = {"CanScan", "CanFetch"}
        return [replace(s, abilities=s.abilities - without) for s in super().streams()]

    def changes(self, stream, after):
        journal = self.journals.setdefault(self.system.name, [])
        at = len(journal) if after is None else after["at"]
        page = self.system.stream(stream).page
        yield Batch((), {"at": at})
        for start in range(at, len(journal), page):
            part = journal[start : start + page]
            yield Batch(part, {"at": start + len(part)})


class ToldWorld(StillWorld):
    """Agreed and at rest. `told` stages what was told; `drain` admits and delivers."""

    def __init__(self, folder, **more):
        super().__init__(folder, **{"source": ToldOnce, "count": 0, **more})
        self.bridge.apply(self.bridge.plan("people"), confirm=0)

    def put(self, number, *, only=(), **more):
        """Say a whole record, or ``only`` some fields of it."""
        ref = super().put(number, **more)
        data = self.here()[f"u{number:04}"]
        said = {f: data[f] for f in only} if only else dict(data)
        self.say(Change(ref, data=said, partial=bool(only)))

    def remove(self, number):
        ref = self.hr.ref_of(self.hr.stream("people"), {"uid": f"u{number:04}"})
        self.say(Change(ref, "delete"))

    def say(self, change):
        ToldOnce.journals.setdefault(self.hr.name, []).append(change)

    def told(self):
        with self.bridge.ledger.write() as tx:
            tx.run("UPDATE partition SET not_before=0 WHERE kind='live'")
        return self.drain("live")

    def tell(self, number, **more):
        self.put(number, **more)
        self.told()

    def forget(self, number):
        self.remove(number)
        self.told()

    def one(self, number=1):
        return self.there().get(f"u{number:04}")

    def at_rest(self):
        """Nothing is left to do; everything that was staged came to a good end."""
        self.drain()
        with self.bridge.ledger.read() as tx:
            open_ = tx.value("SELECT count(*) FROM parcel WHERE state<10")
            due = tx.value("SELECT count(*) FROM again WHERE due=1")
        return (open_, due, self.states().get("REJECTED", 0)) == (0, 0, 0)


@pytest.fixture
def world(tmp_path, at_once):
    made = ToldWorld(tmp_path)
    yield made
    crash.install(None)
    made.bridge.close()


@pytest.fixture
def worlds(tmp_path, at_once):
    made = []

    def make(**settings):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(ToldWorld(folder, **settings))
        return made[-1]

    yield make
    crash.install(None)
    for world in made:
        world.bridge.close()


# --- before the first is admitted ---------------------------------------------------


def test_an_update_right_after_a_create_arrives(world):
    world.tell(1)
    world.tell(1, given="Augusta")
    assert world.at_rest()
    assert world.one()["given"] == "Augusta"
    assert len(world.social.effects()) == 1


def test_of_three_versions_the_last_arrives(world):
    for given in ("Ada", "Augusta", "Lovelace"):
        world.tell(1, given=given)
    assert world.at_rest()
    assert world.one()["given"] == "Lovelace"


def test_several_versions_in_one_commit_arrive_as_the_last(world):
    """Pages of one poll are staged together: two creates never share a parcel."""
    world.hr.set("people", page=1)
    for given in ("Ada", "Augusta", "Lovelace"):
        world.put(1, given=given)
    world.put(2)
    world.told()
    assert world.at_rest()
    assert (world.one()["given"], world.one(2)["given"]) == ("Lovelace", "Ada")


def test_what_is_deleted_before_it_was_created_is_never_created(world):
    world.tell(1)
    world.forget(1)
    assert world.at_rest()
    assert world.one() is None
    world.tell(1, given="Back")
    assert world.at_rest()
    assert world.one()["given"] == "Back"


def test_an_update_and_a_delete_of_a_known_record_end_deleted(world):
    world.tell(1)
    world.drain()
    world.tell(1, given="Augusta")
    world.forget(1)
    assert world.at_rest()
    assert world.one()["active"] is False


def test_a_delete_and_a_return_leave_it_active(world):
    world.tell(1)
    world.drain()
    world.forget(1)
    world.tell(1)
    assert world.at_rest()
    assert world.one()["active"] is not False
    world.forget(1)
    assert world.at_rest()
    assert world.one()["active"] is False


def test_what_changes_and_changes_back_is_as_it_was(world):
    world.tell(1)
    world.drain()
    world.tell(1, given="Augusta")
    world.tell(1, given="Ada")
    assert world.at_rest()
    assert world.one()["given"] == "Ada"
    assert len(world.social.effects()) == 1


def test_a_return_that_is_taken_back_stays_disabled(world):
    world.tell(1)
    world.forget(1)
    world.tell(1)
    world.drain()
    world.forget(1)
    world.drain()
    world.tell(1)
    world.forget(1)
    assert world.at_rest()
    assert world.one()["active"] is False


def test_what_is_told_twice_while_it_waits_is_staged_once(world):
    world.tell(1)
    before = world.states()
    world.tell(1)
    assert world.states() == before
    assert world.at_rest()
    assert len(world.social.effects()) == 1


# --- partial changes ------------------------------------------------------------------


def test_a_partial_change_is_laid_over_a_create(world):
    world.tell(1)
    world.tell(1, given="Augusta", only=("given",))
    assert world.at_rest()
    assert (world.one()["given"], world.one()["family"]) == ("Augusta", "L1")
    assert len(world.social.effects()) == 1


def test_partial_changes_add_up(world):
    world.tell(1)
    world.drain()
    world.tell(1, given="Augusta", only=("given",))
    world.tell(1, family="King", only=("family",))
    world.tell(1, given="Ada", family="King", mail="k@x.example", only=("mail",))
    assert world.at_rest()
    one = world.one()
    assert [one[f] for f in ("given", "family", "mail", "phone")] == [
        "Augusta", "King", "k@x.example", "1",
    ]  # fmt: skip
    assert len(world.social.effects()) == 2


@pytest.mark.parametrize("page", [1, 100])
def test_partial_changes_in_one_poll_add_up(world, page):
    world.hr.set("people", page=page)
    world.put(1)
    world.put(1, given="Augusta", only=("given",))
    world.put(1, family="King", only=("family",))
    world.told()
    assert world.at_rest()
    assert (world.one()["given"], world.one()["family"]) == ("Augusta", "King")
    assert world.one()["phone"] == "1"


def test_a_whole_record_replaces_partial_ones(world):
    world.tell(1)
    world.drain()
    world.tell(1, given="Augusta", only=("given",))
    world.tell(1, family="King")
    assert world.at_rest()
    assert (world.one()["given"], world.one()["family"]) == ("Ada", "King")


# --- while the first is on its way -------------------------------------------------------


def during(point, action):
    """Run an action once, when a crash point is passed."""

    def hook(name):
        if name == point:
            crash.install(None)
            action()

    crash.install(hook)


POINTS = ["claim.done", "inflight.done", "send.half", "answer.read"]


@pytest.mark.parametrize("point", [*POINTS, "stage.in"])
def test_an_update_overtakes_nothing(world, point):
    if point == "stage.in":
        world.tell(1)
        world.put(1, given="Augusta")
        during(point, lambda: world.drain("lane"))
        world.told()
    else:
        world.tell(1)
        during(point, lambda: world.tell(1, given="Augusta"))
        world.drain()
    world.later(2)
    assert world.at_rest()
    assert world.one()["given"] == "Augusta"
    assert len(world.there()) == 1


@pytest.mark.parametrize("point", [*POINTS, "stage.in"])
def test_a_partial_update_overtakes_nothing(world, point):
    told = {"given": "Augusta", "only": ("given",)}
    world.tell(1)
    if point == "stage.in":
        world.put(1, **told)
        during(point, lambda: world.drain("lane"))
        world.told()
    else:
        during(point, lambda: world.tell(1, **told))
        world.drain()
    world.later(2)
    assert world.at_rest()
    assert (world.one()["given"], world.one()["family"]) == ("Augusta", "L1")


@pytest.mark.parametrize("point", [*POINTS, "stage.in"])
def test_a_delete_overtakes_nothing(world, point):
    world.tell(1)
    if point == "stage.in":
        world.remove(1)
        during(point, lambda: world.drain("lane"))
        world.told()
    else:
        during(point, lambda: world.forget(1))
        world.drain()
    world.later(2)
    assert world.at_rest()
    assert world.one() is None or world.one()["active"] is False


@pytest.mark.parametrize("point", ["stage.in", "claim.done"])
def test_a_return_overtakes_nothing(world, point):
    world.tell(1)
    world.drain()
    world.forget(1)
    if point == "stage.in":
        world.put(1, given="Back")
        during(point, lambda: world.drain("lane"))
        world.told()
    else:
        during(point, lambda: world.tell(1, given="Back"))
        world.drain()
    world.later(2)
    assert world.at_rest()
    assert (world.one()["given"], world.one()["active"]) in [
        ("Back", True), ("Back", None),
    ]  # fmt: skip


def test_a_stale_write_is_planned_anew_from_what_was_told(worlds):
    """Nobody can fetch the record: what it said is kept until it has arrived."""
    world = worlds(traits=REQUEST)
    world.tell(1)
    world.drain()
    world.tell(1, given="Augusta")
    during("send.half", lambda: world.edit_there("u0001", phone="2"))
    world.drain()
    world.later(2)
    assert world.at_rest()
    assert world.one()["given"] == "Augusta"


def test_a_stale_write_never_overwrites_what_was_told_since(worlds):
    world = worlds(traits=REQUEST)
    world.tell(1)
    world.drain()
    world.tell(1, given="Older", family="King")

    def meanwhile():
        world.edit_there("u0001", phone="2")
        world.tell(1, given="Newer", only=("given",))

    during("send.half", meanwhile)
    world.drain()
    world.later(2)
    assert world.at_rest()
    assert (world.one()["given"], world.one()["family"]) == ("Newer", "King")


# --- held and refused ---------------------------------------------------------------------


def test_a_partial_change_of_a_held_record_stays_unapproved_and_whole(worlds):
    limits = {**LOOSE, "creates": 1}
    world = worlds(guard=limits)
    world.put(1)
    world.put(2)
    world.told()
    world.drain()
    assert world.waiting() == [("held", "limit")]
    late = next(n for n in (1, 2) if world.one(n) is None)
    world.tell(late, given="Augusta", only=("given",))
    world.drain()
    assert (world.one(late), world.waiting()) == (None, [("held", "limit")])
    item = world.bridge.review("people")[0].item
    world.bridge.decide("people", item, "approve")
    world.later(2)
    world.drain()
    assert (world.one(late)["given"], world.one(late)["family"]) == (
        "Augusta",
        f"L{late}",
    )


def test_what_was_held_and_is_deleted_is_over(worlds):
    world = worlds(guard={**LOOSE, "creates": 1})
    world.put(1)
    world.put(2)
    world.told()
    world.drain()
    late = next(n for n in (1, 2) if world.one(n) is None)
    world.forget(late)
    assert world.waiting() == []
    assert world.at_rest()


def test_each_change_counts_once_for_the_day(worlds):
    """What takes the place of another was told once and is judged once."""
    world = worlds(guard={**LOOSE, "creates": DOWN})
    world.tell(1)
    world.tell(1, given="Augusta")
    seen = "SELECT coalesce(sum(n), 0) FROM guard_count WHERE rule='creates'"
    before = world.value(seen)
    assert before == 2
    world.drain()
    assert world.value(seen) == before


@pytest.mark.parametrize(
    "point", ["stage.in", "stage.done", "admit.in", "inflight.done"]
)
@pytest.mark.parametrize("last", ["update", "delete"])
def test_kills_between_two_versions_harm_nothing(worlds, point, last):
    world = worlds(traits=REQUEST)
    world.tell(1)
    world.drain()
    world.tell(1, given="Older")
    world.put(1, given="Newer") if last == "update" else world.remove(1)

    class Killed(Exception):
        pass

    def die(name):
        if name == point:
            crash.install(None)
            raise Killed

    def work():
        world.told()
        world.drain()

    crash.install(die)
    with pytest.raises(Killed):
        work()
    world.crash()
    world.told()
    world.later(100)
    assert world.at_rest()
    assert (world.one()["given"] == "Newer") == (last == "update")
    assert (world.one()["active"] is False) == (last == "delete")


def test_a_target_that_is_always_stale_is_not_asked_without_a_pause(worlds):
    world = worlds(traits=REQUEST)
    world.tell(1)
    world.drain()
    world.tell(1, given="Augusta")
    sent = []

    def hook(name):
        if name == "send.half":
            sent.append(name)
            world.edit_there("u0001", phone=str(len(sent)))

    crash.install(hook)
    world.drain()
    assert len(sent) == 2
    world.later(5)
    world.drain()
    assert len(sent) == 3
    crash.install(None)
    world.later(5)
    assert world.at_rest()
    assert world.one()["given"] == "Augusta"
