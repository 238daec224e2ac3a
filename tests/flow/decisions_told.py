"""What the tests of decisions about changed posts share."""

from __future__ import annotations

import pytest

from flow.decisions_world import DecisionWorld
from moatbridge.errors import NotApplied
from moatbridge.testing import MemoryAdapter

TOLD = [("r1", ("ada",), "The post has changed since you wrote, or is about to change")]
DECIDED = [("4711", "Accept", "a.lovelace", None)]
BRIEF = {
    "erp/orders": {
        "translator": {
            "entity": "Post",
            "fields": {
                "content": {"template": "Order {id} is {state}"},
                "audience": {"const": {"kind": "org"}},
            },
        }
    },
    "erp/decisions": {
        "translator": {
            "entity": "Decision",
            "fields": {
                "object": {"ref": "erp/orders", "from": "order", "by": "id"},
                "type": "verdict",
                "identity": "login",
                "version": "seen",
            },
        }
    },
}


class Away(MemoryAdapter):
    """Cannot be reached while a method is named here."""

    methods = frozenset()

    def fetch(self, stream, refs):
        if stream == "orders" and "fetch" in self.methods:
            raise NotApplied("away", code="memory.away")
        return super().fetch(stream, refs)

    def write(self, stream, intents):
        if "write" in self.methods:
            raise NotApplied("away", code="memory.away")
        return super().write(stream, intents)


@pytest.fixture
def worlds(tmp_path):
    made = []

    def make(**settings):
        made.append(DecisionWorld(tmp_path, **settings))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture
def world(worlds):
    return worlds()


def told(world):
    assert world.decided() == []
    assert world.answers() == TOLD
    assert world.outcomes() == {"refused.changed": 1}
    return True


def taken(world):
    """A decision that waits to be sent."""
    world.bridge.switch_off("flow:decisions", "drill")
    world.reply("r1", "approve", published="2026-03-01T10:00:00Z")
    with pytest.raises(Exception, match="switched off"):
        world.run()
    assert world.outcomes() == {"decided.Accept": 1}
