"""A COMMIT without an answer, and a server that falls (delivery 9)."""

from __future__ import annotations

import pytest

from ledger.ground import Ground
from ledger.on_postgresql import backends, number, opened, set_number
from moatbridge.errors import LeaseLost, NotApplied, OutcomeUnknown
from moatbridge.ledger import postgresql
from servers.commit_proxy import CommitProxy


@pytest.fixture
def place(ledger_server):
    return ledger_server.place()


@pytest.fixture
def proxied(ledger_server, tmp_path):
    """A ground whose ledger is reached through a proxy, and the proxy."""
    with CommitProxy(ledger_server.endpoint) as proxy:
        ground = Ground(tmp_path, ledger_server.place(endpoint=proxy.endpoint))
        yield ground, proxy
        ground.close()


def partition_seq(ground):
    return ground.value("SELECT seq FROM partition WHERE part='lane/0'")


def cut_after(proxy, tx):
    set_number(tx, 42)
    proxy.plan = "after"


@pytest.mark.parametrize("plan", ["before", "after"])
def test_a_step_whose_commit_got_no_answer_finds_out_by_its_own_row(proxied, plan):
    ground, proxy = proxied

    def work():
        with ground.ledger.step(ground.lease, cursor={"at": 1}) as tx:
            tx.run("UPDATE flow SET bug='done'")
            proxy.plan = plan

    if plan == "before":
        with pytest.raises(NotApplied) as error:
            work()
        assert error.value.code == "ledger.unavailable"
    else:
        work()
    assert proxy.cuts == 1
    done = plan == "after"
    assert ground.value("SELECT bug FROM flow") == ("done" if done else None)
    assert ground.lease.seq == int(done)
    assert ground.lease.cursor == ({"at": 1} if done else None)
    with ground.ledger.step(ground.lease, cursor={"at": 2}):
        pass
    assert ground.lease.seq == 1 + int(done)


def test_a_step_without_an_answer_whose_lease_was_taken_meanwhile_is_lost(proxied):
    ground, proxy = proxied
    store = ground.ledger.db._store
    settle = store._settle

    def late(began, settled):
        ground.expire()
        assert ground.claim(owner="b") is not None
        settle(began, settled)

    store._settle = late
    with pytest.raises(LeaseLost), ground.ledger.step(ground.lease):
        proxy.plan = "before"
    assert partition_seq(ground) == 0


@pytest.mark.parametrize("plan", ["before", "after"])
@pytest.mark.parametrize("alone", [True, False])
def test_a_write_whose_commit_got_no_answer_asks_the_server(proxied, plan, alone):
    ground, proxy = proxied

    def work():
        with ground.ledger.write(alone=alone) as tx:
            set_number(tx, 42)
            proxy.plan = plan

    if plan == "before":
        with pytest.raises(NotApplied):
            work()
    else:
        work()
    assert number(ground.ledger) == ("42" if plan == "after" else "1")


def test_a_commit_without_an_answer_and_a_server_that_stays_away_is_unknown(
    proxied, monkeypatch
):
    monkeypatch.setattr(postgresql, "SETTLE", 0.5)
    ground, proxy = proxied
    proxy.deaf_after_cut = True
    with pytest.raises(OutcomeUnknown) as error, ground.ledger.write() as tx:
        cut_after(proxy, tx)
    assert error.value.code == "ledger.commit-unknown"
    proxy.deaf = False
    with pytest.raises(OutcomeUnknown), ground.ledger.step(ground.lease):
        proxy.plan = "after"
    proxy.deaf = False
    assert partition_seq(ground) == 1
    assert number(ground.ledger) == "42"


def test_another_server_than_the_one_that_began_is_not_asked(proxied, monkeypatch):
    """A standby that took over may have given our number to somebody else."""
    ground, proxy = proxied
    store = ground.ledger.db._store
    began = store._began

    def elsewhere(raw, mode):
        return began(raw, mode)._replace(timeline="000000FF")

    monkeypatch.setattr(store, "_began", elsewhere)
    with pytest.raises(OutcomeUnknown), ground.ledger.write() as tx:
        cut_after(proxy, tx)


def test_a_back_end_ended_at_commit_is_told_from_one_that_committed(
    ledger_server, place, monkeypatch
):
    ledger = opened(place)
    committed = ledger.db._store._committed

    def ended(connection, raw):
        monkeypatch.undo()
        backends(ledger_server, place)
        return committed(connection, raw)

    monkeypatch.setattr(ledger.db._store, "_committed", ended)
    with pytest.raises(NotApplied), ledger.write() as tx:
        set_number(tx, 42)
    assert number(ledger) == "1"
    ledger.close()


def fall_and_rise(server, ledger):
    server.crash()
    with pytest.raises(NotApplied), ledger.read():
        pass
    server.restart()


def test_a_server_that_crashes_between_transactions_is_met_again(tmp_path):
    """``pg_ctl stop -m immediate``: what was committed is there, the rest is not."""
    from servers.ledgers import LedgerServer

    with LedgerServer() as server:
        ground = Ground(tmp_path, server.place())
        with ground.ledger.step(ground.lease, cursor={"at": 1}):
            pass
        with (
            pytest.raises(NotApplied),
            ground.ledger.step(ground.lease, cursor={"at": 2}),
        ):
            fall_and_rise(server, ground.ledger)
        assert ground.ledger.leases.renew([ground.lease]) == []
        with ground.ledger.read() as tx:
            assert ground.ledger.leases.cursor(tx, ground.row.flow_id, "lane/0") == {
                "at": 1
            }
        ground.close()
