"""One record that cannot be carried stops nobody else, and is replayed after repair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.demo.seed import Employee
from moatbridge.demo.servers import ldif
from moatbridge.demo.stage import done
from moatbridge.demo.world import id_of

if TYPE_CHECKING:
    from moatbridge.demo.stage import Stage

_POISONED: Final = Employee(10)
_NEIGHBOUR: Final = Employee(11)
_REPAIRED: Final = "Head of planning"
_OTHER: Final = "Head of purchasing"


def play(stage: Stage) -> None:
    """Poison one record, change another, repair, replay."""
    tell, world = stage.tell, stage.world
    tell.act("A poison record is isolated, and replayed after repair")
    poisoned, neighbour = id_of(world, _POISONED.dn), id_of(world, _NEIGHBOUR.dn)
    before = world.accounts()[poisoned]["meta"]["version"]
    with tell.step("one person gets two job titles, another a new one"):
        world.directory.change(
            ldif.change(_POISONED.dn, title=["Planner", "Driver"]),
            ldif.change(_NEIGHBOUR.dn, title=[_OTHER]),
        )
    with world.bridge() as bridge:
        tell.expect("carried", "update 1", done(stage.run(bridge, "people")))
        waiting = bridge.review("people")
        shown = ", ".join(f"{w.kind}: {w.reason} ({w.detail})" for w in waiting)
        tell.say(f"moatbridge review people: {shown}")
        tell.expect(
            "records waiting for a person", ["rejected"], [w.kind for w in waiting]
        )
        accounts = world.accounts()
        tell.expect("the neighbour's title", _OTHER, accounts[neighbour].get("title"))
        same = accounts[poisoned]["meta"]["version"] == before
        tell.confirm("the poisoned person's account is untouched", holds=same)
        with tell.step("repair the record and replay it"):
            world.directory.change(ldif.change(_POISONED.dn, title=[_REPAIRED]))
            for item in waiting:
                bridge.decide("people", item.item, "replay", reason="repaired")
        tell.expect("replayed", "update 1", done(stage.run(bridge, "people")))
        tell.expect("still waiting", 0, len(bridge.review("people")))
    title = world.accounts()[poisoned].get("title")
    tell.expect("the repaired title", _REPAIRED, title)
