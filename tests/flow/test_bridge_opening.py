"""A bridge that cannot be opened leaves nothing open behind."""

from __future__ import annotations

import threading

import pytest

from moatbridge.ledger import Ledger

LATER = ("LedgerQuotas", "SessionPool", "Keeper", "KillFlag")


@pytest.mark.parametrize("what", LATER)
def test_a_bridge_that_fails_half_way_closes_its_ledger(worlds, monkeypatch, what):
    world = worlds()
    closed, threads = [], set(threading.enumerate())
    close = Ledger.close

    def noted(ledger):
        closed.append(ledger)
        close(ledger)

    def fails(*_args, **_more):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Ledger, "close", noted)
    monkeypatch.setattr(f"moatbridge.flow.bridge.{what}", fails)
    with pytest.raises(RuntimeError):
        world.open()
    assert len(closed) == 1
    assert closed[0] is not world.bridge.ledger
    assert {t for t in threading.enumerate() if t.is_alive()} <= threads
    monkeypatch.undo()
    world.go()
    assert world.same()
