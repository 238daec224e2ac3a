"""A target that dies after the effect and before the answer is not asked twice."""

from __future__ import annotations

import contextlib
import random

import pytest

from crash import target, world
from moatbridge.errors import MoatbridgeError
from moatbridge.resilience.retry import Retry


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setitem(Retry.__init__.__kwdefaults__, "first_wait", 0.001)


@contextlib.contextmanager
def running(folder, number):
    process = target.start(folder, number)
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()


def kill_targets(folder, deaths):
    """Let the target die again and again; returns how many records there are."""
    chance, died, count = random.Random(3), 0, 300
    world.make(folder, count)
    settings = world.config(folder, parcel=40, target="remote")
    while died < deaths:
        with running(folder, chance.randint(1, 60)) as process:
            finished = deliver(settings)
            died += process.poll() is not None
        if finished:
            new = range(count, count + 100)
            world.mutate(folder, new=new, changed=range(20), gone=())
            count = new.stop
        world.expire_leases(folder)
        with contextlib.closing(world.look(folder)) as ledger:
            ledger.execute("UPDATE parcel SET not_before=0")
    with running(folder, 10**9):
        assert deliver(settings)
        assert deliver(settings)
    return count


def deliver(settings):
    """One life of the bridge; whether its work is done."""
    with world.opened(settings, target.RemoteAdapter) as bridge:
        try:
            world.carry_on(bridge)
        except MoatbridgeError:
            return False
        except AssertionError:  # it stopped and says what is left
            return False
    return True


def test_a_target_killed_after_the_effect_again_and_again_doubles_nothing(tmp_path):
    count = kill_targets(tmp_path, 6)
    proof = world.prove(tmp_path)
    assert proof.clean, proof
    assert proof.links == proof.records == count
