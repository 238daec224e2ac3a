from __future__ import annotations

import pytest

from flow.stillness import StillWorld
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
