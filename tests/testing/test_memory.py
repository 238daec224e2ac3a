"""The memory system itself: keys, logs, scope, faults, and what survives a kill."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.adapter import Query, WriteTraits
from moatbridge.changes import Absent, Intent, OutOfScope, Record, Ref
from moatbridge.errors import ConfigurationError, CursorTooOld, OutcomeUnknown
from moatbridge.testing import MemoryAdapter, MemoryConfig, MemoryHub, MemorySystem
from moatbridge.testing.memory import HUB
from moatbridge.testing.memory_store import dump, load
from testing.memory_harness import PEOPLE, person

NOTHING_UNIQUE = tuple(dataclasses.replace(f, unique=False) for f in PEOPLE.fields)


@pytest.fixture
def system():
    return MemorySystem([dataclasses.replace(PEOPLE, fields=NOTHING_UNIQUE)])


@pytest.fixture
def adapter(system):
    with MemoryAdapter(MemoryConfig(system=system), {}) as adapter:
        yield adapter


def create(key, tag="a"):
    return Intent(key, "create", None, person(tag))


def test_counts_one_effect_per_key_however_often_it_is_sent(system, adapter):
    for _ in range(3):
        adapter.write("people", [create("k1", "a"), create("k2", "b")])
    assert [effect.key for effect in system.effects()] == ["k1", "k2"]
    assert len(system.effects("k1")) == 1
    assert system.doubled() == []


def test_without_keys_a_repeat_doubles_and_is_seen(system, adapter):
    system.set("people", traits=WriteTraits(dedup="none"))
    for _ in range(2):
        adapter.write("people", [create("k1")])
    assert system.doubled() == ["k1"]
    assert len(system.all("people")) == 2


def test_a_value_that_is_declared_unique_belongs_to_one_record(system, adapter):
    system.set("people", fields=PEOPLE.fields)
    first, other = (create(key, tag) for key, tag in (("k1", "a"), ("k2", "b")))
    refs = [receipt.ref for receipt in adapter.write("people", [first, other])]
    taken = {"userName": first.record["userName"]}
    again = [
        create("k3", "a"),
        Intent("k4", "update", refs[1], taken, owned=("userName",)),
        Intent("k5", "update", refs[0], taken, owned=("userName",)),
    ]
    reasons = [receipt.reason for receipt in adapter.write("people", again)]
    assert reasons == ["conflict", "conflict", "already"]
    assert [row.data for row in system.all("people")] == [first.record, other.record]


def test_lookup_targets_can_be_asked_before_a_repeat(system, adapter):
    system.set("people", traits=WriteTraits(dedup="lookup"))
    adapter.write("people", [create("k1")])
    assert len(adapter.find("people", [Query("userName", "user-a")])[0]) == 1
    adapter.write("people", [create("k1")])
    assert system.doubled() == ["k1"]


def test_object_scope_recognises_the_record_and_refuses_another(system, adapter):
    system.set("people", traits=WriteTraits(dedup="keyed", key_scope="object"))
    outcomes = [
        adapter.write("people", [create("k1", "a")])[0].outcome,
        adapter.write("people", [create("k2", "a")])[0].outcome,
    ]
    other = Intent("k3", "create", None, {**person("a"), "displayName": "Other"})
    refused = adapter.write("people", [other])[0]
    assert outcomes == ["applied", "applied"]
    assert (refused.outcome, refused.reason) == ("rejected", "conflict")
    assert len(system.effects()) == 1


def test_expired_keys_no_longer_protect(system, adapter):
    adapter.write("people", [create("k1")])
    system.expire_keys("people")
    adapter.write("people", [create("k1")])
    assert system.doubled() == ["k1"]


def test_a_lost_answer_takes_effect_once(system, adapter):
    system.lose_answers = 1
    with pytest.raises(OutcomeUnknown, match=r"memory\.lost"):
        adapter.write("people", [create("k1")])
    assert [r.outcome for r in adapter.write("people", [create("k1")])] == ["applied"]
    assert len(system.effects("k1")) == 1


def test_refuses_what_it_is_told_to_refuse(system, adapter):
    system.refuse = lambda record: "rights" if record["userName"] == "user-b" else None
    receipts = adapter.write("people", [create("k1", "a"), create("k2", "b")])
    assert [r.outcome for r in receipts] == ["applied", "rejected"]
    assert receipts[1].reason == "rights"


def test_stores_its_own_spelling_and_says_so(system, adapter):
    system.set("people", lower=("userName",))
    record = {**person("a"), "userName": "ADA"}
    receipt = adapter.write("people", [Intent("k1", "create", None, record)])[0]
    assert receipt.stored["userName"] == "ada"
    assert system.all("people")[0].data["userName"] == "ada"


def test_normalises_by_any_rule(system, adapter):
    system.normalise = lambda record: {**record, "nickName": "n/a"}
    assert adapter.write("people", [create("k1")])[0].stored["nickName"] == "n/a"


def test_a_truncated_log_makes_old_cursors_too_old(system, adapter):
    (start,) = adapter.changes("people", None)
    system.put("people", [person("a")])
    system.truncate_log("people")
    with pytest.raises(CursorTooOld, match=r"memory\.log"):
        list(adapter.changes("people", start.cursor))
    (now,) = adapter.changes("people", None)
    system.put("people", [person("b")])
    (batch,) = adapter.changes("people", now.cursor)
    assert len(batch.changes) == 1


def test_thin_changes_are_fetched(system, adapter):
    system.set("people", thin=True)
    (start,) = adapter.changes("people", None)
    system.put("people", [person("a")])
    (batch,) = adapter.changes("people", start.cursor)
    (change,) = batch.changes
    assert change.data is None
    assert isinstance(adapter.fetch("people", [change.ref])[0], Record)


def test_fetch_tells_gone_from_out_of_scope(system, adapter):
    refs = system.put("people", [person("a"), person("b")])
    system.hide("people", refs[0])
    found = adapter.fetch("people", [refs[0], refs[1], Ref("none")])
    assert [type(answer) for answer in found] == [OutOfScope, Record, Absent]
    assert [row.data["userName"] for row in system.all("people")] == ["user-b"]


def test_settle_remembers_the_cursor(system, adapter):
    adapter.settle("people", {"seq": 3})
    adapter.settle("people", {"seq": 3})
    assert system.settled("people") == [{"seq": 3}, {"seq": 3}]


def test_discover_and_streams_follow_the_configuration(system):
    system.add(dataclasses.replace(PEOPLE, name="other"))
    every = MemoryAdapter(MemoryConfig(system=system), {})
    one = MemoryAdapter(MemoryConfig(system=system), {"other": every.StreamConfig()})
    with every, one:
        assert [stream.name for stream in every.streams()] == ["other", "people"]
        assert [stream.name for stream in one.streams()] == ["other"]
        assert {item.stream for item in every.discover().items} == {"other", "people"}


def test_compound_keys(system):
    ledgers = dataclasses.replace(PEOPLE, name="x", key=("userName", "nickName"))
    system.add(ledgers)
    (ref,) = system.put("x", [person("a")])
    assert ref.id == ("user-a", "Nick a")
    assert system.get("x", ref).data["displayName"] == "Display a"


def test_is_found_by_name_in_a_hub(system):
    hub = MemoryHub()
    assert hub.register(system) is hub.get("memory")
    with pytest.raises(ConfigurationError, match=r"memory\.system"):
        hub.get("nobody")


def test_config_takes_a_name_or_an_object_or_a_file(tmp_path):
    named = HUB.register(MemorySystem([PEOPLE], name="by-name"))
    MemorySystem([PEOPLE], path=tmp_path / "m.db").store.close()
    for config in (
        {"system": "by-name"},
        {"system": named},
        {"path": tmp_path / "m.db"},
    ):
        with MemoryAdapter(MemoryConfig(**config), {}) as adapter:
            assert [stream.name for stream in adapter.streams()] == ["people"]
    with pytest.raises(ConfigurationError, match=r"memory\.system"):
        MemoryAdapter(MemoryConfig(), {}).open()


def test_using_it_closed_is_a_typed_error(system):
    with pytest.raises(ConfigurationError, match=r"memory\.closed"):
        MemoryAdapter(MemoryConfig(system=system), {}).probe()


def test_threads_share_one_system(system):
    def work(number):
        with MemoryAdapter(MemoryConfig(system=system), {}) as mine:
            for step in range(20):
                mine.write("people", [create(f"{step}", f"{step}")])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(system.effects()) == 20
    assert system.doubled() == []


WORKER = """
import itertools, sys
from moatbridge.changes import Intent
from moatbridge.testing import MemoryAdapter, MemoryConfig
sys.path.insert(0, sys.argv[2])
from testing.memory_harness import person
with MemoryAdapter(MemoryConfig(path=sys.argv[1]), {}) as adapter:
    for number in itertools.count():
        key = f"{number:06d}"
        adapter.write("people", [Intent(key, "create", None, person(key))])
        print(number, flush=True)
"""


def test_keys_survive_the_kill_of_a_process(tmp_path):
    path = tmp_path / "target.db"
    system = MemorySystem([PEOPLE], path=path)
    tests = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120
    command = [sys.executable, "-c", WORKER, str(path), tests]
    reached = []
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
            reached.append([int(worker.stdout.readline()) for _ in range(20)][-1])
            worker.send_signal(signal.SIGKILL)
    assert reached == [19, 19, 19]
    assert system.doubled() == []
    assert len(system.effects()) == len(system.all("people")) >= 20
    assert len(system.effects("000000")) == 1


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.dates()
    | st.times()
    | st.datetimes(timezones=st.just(UTC)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(PLAIN)
def test_stored_values_come_back_as_they_were(value):
    assert load(dump(value)) == value


def test_stored_types_are_kept():
    values = [b"x", Decimal("1.50"), date(2024, 1, 2), time(3, 4),
              datetime(2024, 1, 2, tzinfo=UTC)]  # fmt: skip
    back = load(dump(values))
    assert [type(value) for value in back] == [type(value) for value in values]
