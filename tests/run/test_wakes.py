"""Processes that share a ledger on PostgreSQL wake each other (scale 27)."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager, suppress

import pytest

from moatbridge.flow import run_slice
from moatbridge.ledger import Ledger
from moatbridge.ledger.transactions import CHANNEL
from moatbridge.run import LocalRunner
from moatbridge.run.slots import Slots
from moatbridge.run.wakes import Wakes
from run.world import Workers, until
from servers.commit_proxy import CommitProxy
from servers.ledgers import DATABASE
from servers.places import put_on

NEVER = 600.0
"""Seconds: nobody who waits for the next look sees anything in these tests."""

PLANT = {"hr0": {"zone": "plant"}}
SELDOM = {"rescan": "1h", "every": "1h"}


class Shared(Workers):
    """A ledger on the server; one bridge reads in the plant, others deliver."""

    def __init__(self, folder, server, *, endpoint=None):
        self.direct = put_on(server, folder)
        self.server = server
        super().__init__(folder, count=3, flow=SELDOM, systems=PLANT)
        self.agree()
        if endpoint is not None:
            proxied = server.at(self.role, endpoint=endpoint)
            (folder / "ledger.url").write_text(proxied.url)

    @property
    def role(self):
        return self.direct.url.partition("://")[2].partition("@")[0]

    @contextmanager
    def delivering(self, bridges=1):
        """Runners, each with connections of its own, as other processes have them."""
        opened = [self.open() for _ in range(bridges)]
        runners = [LocalRunner(each, slots=4, zones=["default"]) for each in opened]
        try:
            for runner in runners:
                runner.start(["people0"])
            yield runners
        finally:
            for runner, bridge in zip(runners, opened, strict=True):
                runner.stop()
                bridge.close()

    def listening(self):
        """Processes of the server that listen for this ledger."""
        with self.server.connect(DATABASE) as owner:
            return [
                pid
                for (pid,) in owner.execute(
                    "SELECT pid FROM pg_stat_activity WHERE usename=%s "
                    "AND query LIKE 'LISTEN moatbridge_%%'",
                    [self.role],
                )
            ]

    def resting(self, bridge):
        """Whether every lane was looked at and waits long."""
        with bridge.ledger.read() as tx:
            return not tx.one(
                "SELECT 1 FROM partition WHERE kind='lane' "
                "AND (owner IS NOT NULL OR not_before<=?)",
                tx.now(),
            )

    def stage(self, bridge, number):
        """What the plant's worker does when a record appears."""
        self.put([number])
        with bridge.ledger.write() as tx:
            tx.run("UPDATE partition SET not_before=0 WHERE kind='live'")
        assert run_slice(bridge, "people0", "live", owner="plant").worked

    def arrived(self, number):
        return until(lambda: f"u{number:05}" in self.there(), seconds=60)


@pytest.fixture
def shared(tmp_path, ledger_server):
    with Shared(tmp_path, ledger_server) as world, world.open() as bridge:
        yield world, bridge


def seldom(monkeypatch):
    """From now on nobody looks unasked: what was begun has been seen to."""
    for name in ("run.dispatch.LOOK", "flow.slices.REST", "flow.slices.QUIET"):
        monkeypatch.setattr(f"moatbridge.{name}", NEVER)


def test_what_one_process_stages_wakes_the_lanes_of_another(shared, monkeypatch):
    world, bridge = shared
    with world.delivering():
        until(world.listening)
        world.stage(bridge, 100)
        assert world.arrived(100)
        seldom(monkeypatch)
        until(lambda: world.resting(bridge))
        for number in (101, 102, 103):
            world.stage(bridge, number)
            assert world.arrived(number)
            until(lambda: world.resting(bridge))


def test_a_process_listens_on_one_connection_and_ends_it(shared):
    world, _bridge = shared
    with world.delivering(bridges=2):
        until(lambda: len(world.listening()) == 2)
    until(lambda: not world.listening())


def test_losing_the_listening_connection_costs_time_only_and_it_comes_back(
    shared, monkeypatch
):
    monkeypatch.setattr("moatbridge.run.wakes._FIRST", 0.05)
    world, bridge = shared
    with world.delivering():
        (old,) = until(world.listening)
        with world.server.connect(DATABASE) as owner:
            owner.execute("SELECT pg_terminate_backend(%s)", [old])
        world.stage(bridge, 100)
        assert world.arrived(100)
        assert until(lambda: [n for n in world.listening() if n != old])


def test_what_is_told_is_the_number_of_the_flow_and_nothing_else(shared):
    world, bridge = shared
    flow_id = bridge.route("people0").row.flow_id
    with world.server.look(world.direct) as ear:
        ear.autocommit = True
        (name,) = ear.execute(f"SELECT {CHANNEL}").fetchone()
        ear.execute(f"LISTEN {name}")
        world.stage(bridge, 100)
        told = list(ear.notifies(timeout=30, stop_after=1))
    assert [one.payload for one in told] == [str(flow_id)]


def test_ledgers_of_one_database_do_not_hear_each_other(ledger_server):
    places = [ledger_server.place(), ledger_server.place()]
    ledgers = [Ledger(place.url, password=place.password) for place in places]
    heard, ended = [], threading.Event()
    listener = threading.Thread(
        target=ledgers[0].db.listen, args=(heard.append, ended.is_set)
    )
    listener.start()
    try:
        until(lambda: heard == [None])
        for number, ledger in ((7, ledgers[1]), (8, ledgers[0])):
            with ledger.write() as tx:
                tx.tell(number)
        until(lambda: len(heard) > 1)
        assert heard == [None, 8]
    finally:
        ended.set()
        listener.join()
        for ledger in ledgers:
            ledger.close()


def test_what_was_rolled_back_is_not_told_and_a_strange_word_says_any_flow(
    ledger_server,
):
    place = ledger_server.place()
    ledger = Ledger(place.url, password=place.password)
    heard, ended = [], threading.Event()
    listener = threading.Thread(
        target=ledger.db.listen, args=(heard.append, ended.is_set)
    )
    listener.start()
    try:
        until(lambda: heard == [None])
        with suppress(ZeroDivisionError), ledger.write() as tx:
            tx.tell(7)
            raise ZeroDivisionError
        with ledger.write() as tx:
            tx.one(f"SELECT pg_notify({CHANNEL}, '-1; drop')")
        until(lambda: len(heard) > 1)
        assert heard == [None, None]
    finally:
        ended.set()
        listener.join()
        ledger.close()


def test_whatever_is_notified_and_whatever_fails_the_thread_goes_on_listening(
    ledger_server, monkeypatch, caplog
):
    """A number of more digits than Python reads, and a bug in who is woken."""
    monkeypatch.setattr("moatbridge.run.wakes._FIRST", 0.05)
    place = ledger_server.place()
    ledger = Ledger(place.url, password=place.password)
    heard = []

    def wake(flow_id):
        heard.append(flow_id)
        if flow_id == 7:
            raise ZeroDivisionError

    def told(payload):
        before = len(heard)
        with ledger.write() as tx:
            tx.one(f"SELECT pg_notify({CHANNEL}, ?)", payload)
        until(lambda: len(heard) > before)

    wakes = Wakes(ledger, wake)
    wakes.start()
    try:
        until(lambda: heard == [None])
        for payload in ("9" * 5000, "9" * 20):
            told(payload)
        for times in (1, 2):  # each ends it, and it begins anew
            told("7")
            until(lambda times=times: heard.count(None) == 3 + times)
        told("8")
        assert heard == [None, None, None, 7, None, 7, None, 8]
        assert caplog.text.count("ZeroDivisionError") == 1
    finally:
        wakes.stop()
        wakes.join(30)
        ledger.close()


class Pooler(CommitProxy):
    """As PgBouncer does, it tells each client a number of a back end of its own."""

    def __init__(self, server):
        super().__init__(server)
        self.answered = 0

    def passed_on(self, data):
        at = data.find(b"K\0\0\0\x0c")
        if at < 0:
            return data
        self.answered += 1
        return data[: at + 5] + b"\0\x7f\xff\xff" + data[at + 9 :]


def test_through_a_pooler_nobody_listens_and_lanes_are_found_by_looking(
    tmp_path, ledger_server, caplog
):
    caplog.set_level(logging.INFO, "moatbridge.run.wakes")
    with (
        Pooler(ledger_server.endpoint) as pooler,
        Shared(tmp_path, ledger_server, endpoint=pooler.endpoint) as world,
        world.open() as bridge,
        world.delivering(),
    ):
        until(lambda: "a pooler stands before the ledger" in caplog.text)
        assert pooler.answered > 0
        world.stage(bridge, 100)
        assert world.arrived(100)
        assert world.listening() == []


def test_a_ledger_in_a_file_tells_nobody(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    assert ledger.db.tells is False
    assert ledger.db.listen(print, lambda: False) is False
    with ledger.write() as tx:
        tx.tell(1)
    ledger.close()


def test_a_nudge_ends_a_wait_for_slots_once():
    slots = Slots(1, patience=60.0)
    slots.nudge()
    slots.nudge()
    assert slots.collect(NEVER) == []
    threading.Timer(0.05, slots.nudge).start()
    assert slots.collect(NEVER) == []
    slots.start("a", lambda: 5)
    (ended,) = slots.collect(NEVER)
    assert ended.result == 5
