"""A system that was blocked for a person, and the `check` that finds it well again."""

from __future__ import annotations

import pytest

from moatbridge.errors import ConfigurationError
from moatbridge.run import Bridge
from moatbridge.run.checking import check


def blocked_by(bridge):
    """What keeps a session of this bridge from being opened; None: nothing."""
    try:
        with bridge.session("social"):
            return None
    except ConfigurationError as error:
        return error.code


@pytest.fixture
def working(world):
    """A bridge that runs on while somebody mends what stopped it."""
    world.fault("social", "denied")
    with Bridge.open(world.path) as bridge:
        assert blocked_by(bridge) == "offline.auth"
        assert blocked_by(bridge) == "breaker.blocked"
        yield bridge


def test_a_check_that_finds_a_system_well_lets_running_workers_go_on(world, working):
    assert world.cli("check").code == 1
    assert blocked_by(working) == "breaker.blocked", "nothing was mended"
    world.fault("social", "denied", on=False)
    assert blocked_by(working) == "breaker.blocked", "nobody looked"
    assert "PROBLEM   offline" not in world.cli("check").out
    assert blocked_by(working) is None


def test_a_product_that_checks_its_own_bridge_sees_what_is_mended(world, working):
    world.fault("social", "denied", on=False)
    found = {each.system: each.problem for each in check(working).systems}
    assert found["social"] is None
    assert blocked_by(working) is None
