"""Receive: who sent it is proved, what comes twice is known, nothing is shown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from moatbridge.adapter import CanReceive
from moatbridge.errors import MoatbridgeError, Rejected
from moatbridge.testing.conformance.base import ConformanceBase, requires
from moatbridge.testing.watching import overhearing

if TYPE_CHECKING:
    from moatbridge.adapter import Request
    from moatbridge.testing.stage import Stage

_LONGEST: Final = 256


class Receiving(ConformanceBase):
    """`CanReceive`; needs no connection, so the adapter is not even opened."""

    @requires(CanReceive)
    def test_a_delivery_is_read(self, stage: Stage) -> None:
        """Every record of a true delivery is told, of its own stream."""
        records = stage.harness.sample(2)
        received = stage.make().receive(stage.harness.delivery(records))
        changes = received.changes[stage.name]
        assert stage.values([c.data or {} for c in changes]) == stage.values(records)
        assert 1 <= len(received.delivery_id) <= _LONGEST
        assert not received.rejects.get(stage.name)

    @requires(CanReceive)
    def test_a_delivery_that_comes_twice_is_known(self, stage: Stage) -> None:
        """A repeat has the same id, on any instance; another delivery has its own."""
        first, second = (stage.harness.delivery(stage.harness.sample(1)) for _ in "12")
        told = [stage.make().receive(each) for each in (first, first, second)]
        ids = [received.delivery_id for received in told]
        assert ids[0] == ids[1] != ids[2]
        keys = [[c.ref.key for c in each.changes[stage.name]] for each in told[:2]]
        assert keys[0] == keys[1]

    @requires(CanReceive)
    def test_a_forged_delivery_is_refused(self, stage: Stage) -> None:
        """A changed byte or a missing signature: one refusal, that tells nothing."""
        true = stage.harness.delivery(stage.harness.sample(1))
        codes = {_refusal(stage, forged) for forged in _forgeries(true)}
        assert len(codes) == 1, "one code, whatever the reason"

    @requires(CanReceive)
    def test_a_delivery_shows_no_value(self, stage: Stage) -> None:
        """Neither what was read nor why it was refused shows the data or the secret."""
        records = stage.harness.sample(2)
        canaries = [*stage.harness.canaries, *map(stage.value, records)]
        true = stage.harness.delivery(records)
        with overhearing() as ear:
            received = stage.make().receive(true)
            ear.show(true, received, list(received.changes[stage.name]))
            for forged in _forgeries(true):
                try:
                    stage.make().receive(forged)
                except MoatbridgeError as error:
                    ear.show(error, error.details)
        assert ear.leaks(canaries) == []


def _forgeries(true: Request) -> list[Request]:
    flipped = bytearray(true.body)
    flipped[len(flipped) // 2] ^= 1
    return [
        replace(true, body=bytes(flipped)),
        replace(true, body=true.body + b" "),
        replace(true, headers={}, query=""),
    ]


def _refusal(stage: Stage, forged: Request) -> str:
    with pytest.raises(Rejected) as caught:
        stage.make().receive(forged)
    assert caught.value.kind == "rights", caught.value.kind
    return caught.value.code
