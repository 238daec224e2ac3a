"""What expired of a source that tells everything once is not destroyed by `replay`."""

from __future__ import annotations

import pytest

from flow.test_told_once_held import HELD, worlds  # noqa: F401 - a fixture
from moatbridge.errors import ConfigurationError
from moatbridge.flow.control import request_pass
from moatbridge.run.status import expired


def lapsed(world):
    """Nobody decided in time; the next look tidies up. The item's name."""
    [item] = world.bridge.review("people")
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE hold SET expires=? WHERE decided IS NULL", tx.now() - 1)
    request_pass(
        world.bridge.ledger, world.bridge.route("people"), auto=True, actor="ops"
    )
    world.drain("control")
    assert names(world) == [item.item]
    return item.item


def names(world):
    return [each.item for each in expired(world.bridge.ledger, "people")]


@pytest.mark.parametrize("known", [False, True])
def test_replay_is_refused_where_nobody_would_tell_it_again(worlds, known):  # noqa: F811
    world = worlds()
    if known:
        world.tell(1)
        world.drain()
    world.tell(1, role="admin")
    assert world.waiting() == HELD
    item = lapsed(world)
    with pytest.raises(ConfigurationError) as refused:
        world.bridge.decide("people", item, "replay", actor="boss")
    assert refused.value.code == "review.told-once"
    assert names(world) == [item]


def test_what_is_told_again_after_it_expired_is_asked_again(worlds):  # noqa: F811
    world = worlds()
    world.tell(1, role="admin")
    item = lapsed(world)
    world.tell(1, role="admin")
    assert world.waiting() == HELD
    assert names(world) == []
    [again] = world.bridge.review("people")
    assert again.item != item
    world.approve()
    assert world.one()["phone"] == "admin"
    assert world.at_rest()
