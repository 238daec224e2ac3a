"""A change that waits for a person, told once, while an older one is on its way."""

from __future__ import annotations

import pytest

from flow.test_told_once import ToldWorld
from moatbridge.flow import rejudging

ROLE = "roles[type=work].value"
HELD = [("held", "approval")]


class Roles(ToldWorld):
    """The source tells of roles, which a person must agree to."""

    def config(self):
        config = super().config()
        for stream in config["streams"].values():
            fields = stream["translator"]["fields"]
            fields[ROLE] = fields.pop("phoneNumbers[type=work].value")
        return config

    def put(self, number, *, only=(), role=None, **more):
        super().put(number, only=only, phone=role, **more)

    def approve(self):
        (one,) = self.bridge.review("people")
        self.bridge.decide("people", one.item, "approve")
        self.later(2)
        self.drain()


@pytest.fixture
def worlds(tmp_path, at_once):
    made = []

    def make(**settings):
        made.append(Roles(tmp_path, **settings))
        return made[-1]

    yield make
    for world in made:
        world.bridge.close()


@pytest.mark.parametrize("only", [(), ("phone",)])
def test_what_is_held_outlives_an_older_change_that_leaves_before_it(worlds, only):
    world = worlds()
    world.tell(1)
    world.drain()
    world.tell(1, family="King")
    world.tell(1, family="King", role="admin", only=only)
    assert world.waiting() == HELD
    world.drain()
    assert (world.one()["family"], world.one()["phone"]) == ("King", None)
    assert world.waiting() == HELD, "nobody can tell it again"
    world.approve()
    assert (world.one()["family"], world.one()["phone"]) == ("King", "admin")
    assert world.at_rest()


def test_what_is_held_is_over_when_something_newer_leaves(worlds):
    world = worlds()
    world.tell(1)
    world.drain()
    world.tell(1, role="admin")
    assert world.waiting() == HELD
    world.tell(1, family="King")
    world.drain()
    assert world.waiting() == []
    assert (world.one()["family"], world.one()["phone"]) == ("King", None)
    assert world.at_rest()


@pytest.mark.parametrize("only", [(), ("phone",)])
def test_an_older_change_that_must_be_held_too_ends_in_the_newer_one(
    worlds, monkeypatch, only
):
    """Who reads a thing, say, is known only when it is about to leave."""
    world = worlds()
    world.tell(1)
    world.drain()
    world.tell(1, family="King")
    world.tell(1, family="King", role="admin", only=only)
    assert world.waiting() == HELD
    late = rejudging.Hold("approval", "readers")
    monkeypatch.setattr(rejudging, "held", lambda *_given: late)
    world.drain()
    assert world.waiting() == HELD
    assert (world.one()["family"], world.one()["phone"]) == ("L1", None)
    world.approve()
    assert (world.one()["family"], world.one()["phone"]) == ("King", "admin")
    assert world.at_rest()


@pytest.mark.parametrize("waits", [False, True])
def test_what_was_agreed_to_is_asked_about_again_with_what_is_told_after_it(
    worlds, waits
):
    """Found in review: it was sent beside the newer one, or the half of it was lost."""
    world = worlds()
    busy(world) if waits else (world.tell(1), world.drain())
    if waits:
        world.tell(1, given="Augusta")
    world.tell(1, family="King", role="admin", only=("family", "phone"))
    (one,) = world.bridge.review("people")
    world.bridge.decide("people", one.item, "approve")
    world.tell(1, role="boss", only=("phone",))
    assert world.waiting() == HELD
    for _ in range(3):
        world.later(10)
        world.drain()
    assert world.one()["phone"] is None
    assert world.waiting() == HELD
    world.approve()
    assert (world.one()["family"], world.one()["phone"]) == ("King", "boss")
    assert world.at_rest()


def busy(world):
    """What leaves next must wait: nobody knows what became of the one before."""
    world.tell(1)
    world.drain()
    world.social.lose_answers = 1
    world.tell(1, family="Doubt")
    world.drain()


@pytest.mark.parametrize(("only", "family"), [((), "Queen"), (("phone",), "King")])
def test_what_is_approved_is_not_overtaken_by_what_was_told_before_it(
    worlds, only, family
):
    """Found by the stateful test: both waited for the same link, the older went last."""
    world = worlds()
    busy(world)
    world.tell(1, family="King")
    world.drain()
    world.tell(1, family=family, role="admin", only=only)
    assert world.waiting() == HELD
    world.later(2)
    world.drain()  # in vain, so it queues up anew
    (one,) = world.bridge.review("people")
    world.bridge.decide("people", one.item, "approve")
    for _ in range(3):
        world.later(10)
        world.drain()
    assert world.at_rest()
    assert (world.one()["family"], world.one()["phone"]) == (family, "admin")
