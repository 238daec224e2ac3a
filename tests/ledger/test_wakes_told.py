"""Whatever makes a partition due tells other processes, with the commit (scale 27)."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from ledger.ground import Ground
from moatbridge.adapter import Received
from moatbridge.changes import Change, Ref
from moatbridge.ledger import flows, inbox
from moatbridge.ledger.keys import key_hash
from moatbridge.ledger.transactions import CHANNEL

PUSHED = Received("", changes={"people": [Change(Ref("u1"), data={"uid": "u1"})]})


@pytest.fixture(scope="module")
def shared(tmp_path_factory, ledger_server):
    ground = Ground(tmp_path_factory.mktemp("told"), ledger_server.place())
    with ground.ledger.write() as tx:
        ground.ledger.leases.add(tx, ground.row.flow_id, "live", "live")
        kept = inbox.Delivery("hr", "m1", "", inbox.freeze(PUSHED))
        assert inbox.insert(tx, ground.ledger.scope, [kept]) == [True]
    yield ground, ledger_server
    ground.close()


@contextmanager
def hearing(shared):
    """Numbers of the flows that are told of, once the body has committed."""
    ground, server = shared
    heard = []
    with server.look(ground.place) as ear:
        ear.autocommit = True
        (name,) = ear.execute(f"SELECT {CHANNEL}").fetchone()
        ear.execute(f"LISTEN {name}")
        with ground.ledger.write() as tx:
            yield tx, heard
        with ground.ledger.write() as tx:
            tx.tell(0)  # the last one: nothing has to be waited for in vain
        for one in ear.notifies(timeout=30):
            if one.payload == "0":
                return
            heard.append(int(one.payload))
    pytest.fail("nothing was told at all")


def test_a_delivery_wakes_the_flows_that_read_it(shared):
    ground, _server = shared
    with hearing(shared) as (tx, heard):
        inbox.wake(tx, ground.ledger.scope, ["people", "unknown"])
    assert heard == [ground.row.flow_id]


def test_a_delivery_that_is_told_again_wakes_its_flow(shared):
    ground, _server = shared
    flow_id, k = ground.row.flow_id, key_hash(Ref("u1").key)
    with hearing(shared) as (tx, heard):
        assert inbox.tell_again(tx, flow_id, "inbox/1/change 0", k)
    assert heard == [flow_id]


def test_what_is_to_be_read_again_wakes_its_flow(shared):
    flow_id = shared[0].row.flow_id
    with hearing(shared) as (tx, heard):
        flows.ask_again(tx, [(flow_id, 7), (flow_id, 8)], "replay")
    assert heard == [flow_id]
