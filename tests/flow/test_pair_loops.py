"""A pair comes to rest, or a person is shown why it does not (delivery 50)."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flow.pairs_world import BOTH, PairWorld
from moatbridge.resilience.retry import Retry

OWNER = {"*": "hr/people", "name.familyName": "hold"}


@pytest.fixture
def world(tmp_path, at_once):
    made = PairWorld(tmp_path, owner=OWNER, count=2)
    yield made.begin()
    made.bridge.close()


def shout(world):
    """What the system of record does with every name, by itself."""
    family = world.here()["u0001"]["family"]
    world.edit_here("u0001", family=family.upper())


def whisper(world):
    """What the platform does with it."""
    family = world.there()["u0001"]["family"]
    world.edit_there("u0001", family=family.lower())


def quarrel(world, rounds=6):
    """Both systems rewrite what the other one wrote; returns how often it travelled."""
    before = sum(world.effects())
    for _ in range(rounds):
        shout(world)
        world.go("out")
        whisper(world)
        world.go("back")
    return sum(world.effects()) - before


def loops(world):
    return [item for item in world.items() if item[2] == "loop"]


def test_two_systems_that_rewrite_each_other_are_stopped_and_shown(world):
    world.edit_here("u0001", family="Hopper")
    before = sum(world.effects())
    assert quarrel(world) == 3
    assert loops(world)[0] == ("back", "held", "loop", "pair: name.familyName")
    world.edit_here("u0001", mail="new@x.example")
    world.go("out")
    assert {flow for flow, *_rest in loops(world)} == set(BOTH), "both are held"
    assert sum(world.effects()) == before + 3


def test_other_records_go_on_meanwhile(world):
    world.edit_here("u0001", family="Hopper")
    quarrel(world)
    world.edit_here("u0000", family="Lovelace")
    world.both()
    assert world.there()["u0000"]["family"] == "Lovelace"


def test_edits_in_one_direction_are_no_loop(world):
    for number in range(8):
        world.edit_here("u0001", family=f"F{number}")
        world.both()
        assert world.there()["u0001"]["family"] == f"F{number}"
    assert world.items() == []


def test_after_an_hour_without_it_counting_begins_anew(world):
    world.edit_here("u0001", family="Hopper")
    assert quarrel(world, rounds=1) == 2
    an_hour_ago(world)
    assert quarrel(world, rounds=1) == 2
    assert loops(world) == []


def test_whom_a_person_lets_go_is_delivered_and_counting_begins_anew(world):
    world.edit_here("u0001", family="Hopper")
    quarrel(world)
    flow = loops(world)[0][0]
    (item,) = [w for w in world.bridge.review(flow) if w.reason == "loop"]
    before = sum(world.effects())
    world.bridge.decide(flow, item.item, "approve", actor="boss")
    world.drain(flow=flow)
    assert sum(world.effects()) == before + 1
    world.both(3)
    assert sum(world.effects()) <= before + 3, "no new quarrel without a new edit"


def an_hour_ago(world):
    with world.bridge.ledger.write() as tx:
        for link_id, text in tx.all("SELECT link_id, turns FROM turn"):
            old = [[t - 3601, side, paths] for t, side, paths in json.loads(text)]
            tx.run("UPDATE turn SET turns=? WHERE link_id=?", json.dumps(old), link_id)


# --- after quiet input a pair sends nothing more --------------------------------------

PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
MIXED = {
    "*": "hr/people",
    "phoneNumbers": "social/people",
    "name.familyName": "latest",
    "name.givenName": "hold",
}
NAMES = st.sampled_from(["Ada", "ada", "Bo", ""])
EDIT = st.tuples(
    st.sampled_from(["here", "there"]),
    st.integers(0, 1),
    st.dictionaries(
        st.sampled_from(["family", "given", "mail", "phone"]), NAMES, min_size=1
    ),
)
STEP = st.one_of(EDIT, st.sampled_from(["out", "back"]))


@given(st.lists(STEP, max_size=10), st.sampled_from([(), ("family", "phone")]))
@settings(
    max_examples=15,
    deadline=None,
    phases=PHASES,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_after_quiet_input_a_pair_sends_nothing_more(steps, lower):
    folder = Path(tempfile.mkdtemp(prefix="moatbridge-pair-"))
    patient = Retry.__init__.__kwdefaults__
    world = PairWorld(folder, owner=MIXED, stamped=True, count=2)
    try:
        assert patient is not None
        world.social.set("people", lower=lower)
        world.begin()
        drifted = play(world, steps)
        world.both(3)
        before = world.effects()
        world.both(2)
        assert world.effects() == before
        assert world.social.doubled() == world.hr.doubled() == []
        agree(world, lower, drifted)
    finally:
        world.bridge.close()
        shutil.rmtree(folder)


OWNER_OF = {"mail": "here", "phone": "there"}


def play(world, steps):
    """Carry it out; returns (record, field) of what was changed by who does not own it."""
    drifted = set()
    for moment, step in enumerate(steps):
        if isinstance(step, str):
            world.go(step)
            continue
        side, number, changes = step
        stamp = f"2026-01-01T00:00:{moment:02}Z"
        edit = world.edit_here if side == "here" else world.edit_there
        edit(f"u{number:04}", stamp=stamp, **changes)
        drifted |= {
            (f"u{number:04}", n) for n in changes if OWNER_OF.get(n, side) != side
        }
    return drifted


def agree(world, lower, drifted):
    """Both sides show the same, unless a person was asked about that record."""
    asked = {w.ref[0] for flow in BOTH for w in world.bridge.review(flow) if w.ref}
    here, there = world.here(), world.there()
    ids = {row.data["uid"]: row.ref.key for row in world.social.all("people")}
    for uid in here:
        if uid in asked or ids[uid] in asked:
            continue
        for name in ("given", "family", "mail", "phone"):
            if (uid, name) in drifted:
                continue
            ours, theirs = here[uid][name] or "", there[uid][name] or ""
            if name in lower:
                ours, theirs = ours.lower(), theirs.lower()
            assert ours == theirs, (uid, name)
