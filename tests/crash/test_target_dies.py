"""A target that dies after the effect and before the answer is not asked twice."""

from __future__ import annotations

import random
import threading

import pytest

from crash import target, world
from moatbridge.errors import MoatbridgeError
from moatbridge.resilience.retry import Retry


def at_once(patch):
    """What a target left in doubt, or did not take, is tried again without a pause."""
    patch.setitem(Retry.__init__.__kwdefaults__, "first_wait", 0.001)
    patch.setattr("moatbridge.flow.policies.SOON", 0.01)
    patch.setattr("moatbridge.flow.calling.PAUSE", 0.01)


class Dying(threading.Thread):
    """Starts the target again whenever it died, and lets it die so many times."""

    def __init__(self, folder, deaths):
        super().__init__()
        self.folder, self.left, self.ended = folder, deaths, threading.Event()
        self.chance = random.Random(3)
        self.process = self.begin()

    def begin(self):
        number = self.chance.randint(1, 60) if self.left else 10**9
        return target.start(self.folder, number)

    def run(self):
        while not self.ended.is_set():
            if self.process.poll() is None:
                self.ended.wait(0.005)
                continue
            self.process.stdout.close()
            self.left -= 1
            self.process = self.begin()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.ended.set()
        self.join()
        self.process.kill()
        self.process.wait(30)
        self.process.stdout.close()


def kill_targets(folder, deaths):
    """Let the target die again and again; returns how many records there are."""
    count = 300
    world.make(folder, count)
    settings = world.config(folder, parcel=40, target="remote")
    with pytest.MonkeyPatch.context() as patch, Dying(folder, deaths) as dying:
        at_once(patch)
        while dying.left:
            deliver(settings)
            new = range(count, count + 100)
            world.mutate(folder, new=new, changed=range(20), gone=())
            count = new.stop
            world.expire_leases(folder)
        for _ in range(20):
            if deliver(settings) and deliver(settings):
                return count
            world.expire_leases(folder)
    raise AssertionError("it never came to rest")


def deliver(settings):
    """One life of the bridge; whether its work is done."""
    with world.opened(settings, target.RemoteAdapter) as bridge:
        try:
            world.carry_on(bridge)
        except (MoatbridgeError, AssertionError):  # it stopped and says what is left
            return False
    return True


def test_a_target_killed_after_the_effect_again_and_again_doubles_nothing(tmp_path):
    count = kill_targets(tmp_path, 3)
    proof = world.prove(tmp_path)
    assert proof.clean, proof
    assert proof.links == proof.records == count
