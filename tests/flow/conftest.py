from __future__ import annotations

import json
from dataclasses import replace

import pytest

from flow.stillness import StillWorld
from moatbridge.flow import sending
from moatbridge.flow.thawing import aboard, thaw
from moatbridge.ledger import frozen
from moatbridge.resilience import crash
from moatbridge.resilience.retry import Retry


@pytest.fixture(autouse=True)
def restless(monkeypatch):
    """What found no work looks again soon: what waits for another flow waits less."""
    monkeypatch.setattr("moatbridge.flow.slices.REST", 0.1)


@pytest.fixture
def at_once(monkeypatch):
    """Retries inside a call do not wait."""
    monkeypatch.setitem(Retry.__init__.__kwdefaults__, "first_wait", 0.001)


@pytest.fixture
def no_breaker(monkeypatch):
    """Its time is not the ledger's, which is moved by tests; it has its own."""
    monkeypatch.setattr("moatbridge.resilience.breaker.Breaker.record", _ignore)


def _ignore(_self, *, failed):
    pass


@pytest.fixture
def worlds(tmp_path, at_once):
    """Makes worlds, and closes them."""
    made = []

    def make(**settings):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        kind = settings.pop("kind", StillWorld)
        made.append(kind(folder, **{"count": 5, **settings}))
        return made[-1]

    yield make
    crash.install(None)
    for world in made:
        world.bridge.close()


@pytest.fixture(autouse=True)
def aboard_as_frozen(monkeypatch):
    """What leaves without being read again is what its frozen bytes say; counted."""
    sent = []

    def compared(item, parts, *, fence, attempt):
        quick = aboard(item, parts, fence=fence, attempt=attempt)
        slow = thaw(item, fence=fence, attempt=attempt)
        assert normal(quick) == normal(slow)
        sent.append(item.key)
        return quick

    monkeypatch.setattr(sending, "aboard", compared)
    return sent


def normal(thawed):
    """Lists for tuples, which JSON does not tell apart."""
    intent, noted = thawed
    lists = json.loads(frozen.dumps([intent.record, intent.before, noted.record]))
    return replace(intent, record=None, before=None), noted._replace(record=None), lists
