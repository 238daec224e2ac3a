"""After a cut: nothing is repeated behind the core's back, and a new start works."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from moatbridge.adapter import CanScan, CanWrite
from moatbridge.errors import MoatbridgeError
from moatbridge.testing.conformance.base import requires
from moatbridge.testing.conformance.network import (
    Network,
    first_use,
    outcome_of,
    reader,
    starts_anew,
    writer,
)
from moatbridge.testing.patience import patiently
from moatbridge.testing.proxy import Fault
from moatbridge.testing.stage import MANY, changes_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.adapter import Partition
    from moatbridge.changes import Batch
    from moatbridge.testing.proxy import FaultProxy
    from moatbridge.testing.stage import Stage


class Reconnecting(Network):
    """Through a `FaultProxy`; needs the feature ``network``."""

    @requires("network", CanScan)
    def test_a_scan_goes_on_after_a_cut(self, stage: Stage, proxy: FaultProxy) -> None:
        """A new instance resumes from the last cursor: nothing lost, nothing twice."""
        seeded = stage.values(stage.seed(MANY))

        def begun() -> tuple[Any, Partition, Iterator[Batch], list[Batch]]:
            adapter = stage.bare(endpoint=proxy.endpoint)
            whole = stage.one(adapter)
            walk = adapter.scan(stage.name, whole, None)
            return adapter, whole, walk, [next(walk)]

        adapter, whole, walk, came = patiently(begun)
        proxy.fault = Fault(reset_after=0)
        try:
            came += walk  # what was on its way already is welcome
        except MoatbridgeError:
            assert not came[-1].complete
        proxy.fault = Fault()
        adapter.close()
        starts_anew(stage, proxy)
        if not came[-1].complete:
            after = json.loads(json.dumps(came[-1].cursor))
            came += stage.scan(stage.open(endpoint=proxy.endpoint), whole, after)
        found = {stage.value(c.data or {}) for c in changes_of(came)}
        assert sorted(found) == seeded
        assert came[-1].complete

    @requires("network")
    def test_a_new_instance_works_after_a_cut(
        self, stage: Stage, proxy: FaultProxy
    ) -> None:
        """A broken connection is never kept for the next one."""
        first = stage.open(endpoint=proxy.endpoint)
        first.probe()
        proxy.fault = Fault(reset_after=0)
        cut = stage.make(endpoint=proxy.endpoint)
        with pytest.raises(MoatbridgeError):
            first_use(cut)
        proxy.fault = Fault()
        first.close()
        cut.close()
        starts_anew(stage, proxy)

    @requires("network", CanScan)
    def test_a_broken_scan_is_not_tried_again(
        self, stage: Stage, proxy: FaultProxy
    ) -> None:
        """Retrying is the core's business: one broken connection, one error."""
        stage.seed(MANY)
        adapter, whole = reader(stage, proxy)
        proxy.fault = Fault(reset_after=0)
        with pytest.raises(MoatbridgeError):
            stage.scan(adapter, whole)
        assert proxy.broken <= 1, f"{proxy.broken} connections for one call"

    @requires("network", CanWrite)
    def test_a_broken_write_is_not_tried_again(
        self, stage: Stage, proxy: FaultProxy
    ) -> None:
        """Only the core knows whether a write may be repeated."""
        intents = stage.creates(stage.harness.sample(1))
        adapter = writer(stage, proxy)
        proxy.fault = Fault(reset_after=0)
        outcome_of(stage, adapter, intents)
        assert proxy.broken <= 1, f"{proxy.broken} connections for one call"

    @requires("network", CanWrite, "keyed")
    def test_what_the_wire_sends_twice_has_one_effect(
        self, stage: Stage, proxy: FaultProxy
    ) -> None:
        """Every byte reaches the server on two connections; then the core repeats."""
        records = stage.harness.sample(2)
        intents = stage.creates(records)
        proxy.fault = Fault(duplicate_connection=True)
        # A server that knows a replay when it sees one ends the connection.
        with contextlib.suppress(MoatbridgeError):
            outcome_of(stage, stage.bare(endpoint=proxy.endpoint), intents)
        proxy.fault = Fault()
        again = stage.write(stage.open(), intents)
        assert [receipt.outcome for receipt in again] == ["applied"] * 2
        assert stage.present() == stage.values(records)
