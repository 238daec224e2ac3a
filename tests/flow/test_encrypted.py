"""Content in the ledger is encrypted at rest, and the wrong key is refused (``key_file``)."""

from __future__ import annotations

import base64
import os

import pytest
from pydantic import SecretStr

from flow.stillness import LOOSE, NONE, StillWorld
from moatbridge.adapter.secret import Secret
from moatbridge.errors import ConfigurationError
from moatbridge.ledger import Ledger
from moatbridge.ledger.sealed import COLUMNS, content_in
from moatbridge.ledger.tables import TABLES
from moatbridge.resilience.retry import Retry
from moatbridge.testing import FlakyAdapter, MemoryAdapter, Schedule

CANARIES = ("Zanzibar", "Quillfeather", "canary@x.example", "+49 8315", "u7301")


def key():
    return base64.b64encode(os.urandom(32)).decode()


@pytest.fixture
def secrets(monkeypatch):
    """Makes keys, and references to them."""

    def make(name, text=None):
        monkeypatch.setenv(f"KEY_{name}", text or key())
        return f"env:KEY_{name}"

    return make


@pytest.fixture
def world(tmp_path, secrets, monkeypatch):
    monkeypatch.setitem(Retry.__init__.__kwdefaults__, "first_wait", 0.001)
    made = []

    def make(keys, **more):
        folder = tmp_path / "w"
        folder.mkdir(exist_ok=True)
        ledger = {"durability": "normal", "key_file": keys}
        extra = {"ledger": ledger, "guard": {"four_eyes": False, **LOOSE}}
        made.append(StillWorld(folder, count=0, extra=extra, **more))
        return made[-1]

    yield make
    for each in made:
        each.bridge.close()


def put(world, **more):
    canary = {
        "given": "Zanzibar", "family": "Quillfeather",
        "mail": "canary@x.example", "phone": "+49 8315",
    }  # fmt: skip
    world.put(7301, **{**canary, **more})


def on_disk(world):
    """Every byte of the ledger, its write-ahead log included; on a server every row."""
    files = sorted(world.folder.glob("ledger.db*"))
    if not files:
        return all_rows(world.bridge.ledger.db)
    assert len(files) >= 2, "the WAL is looked at too"
    return b"".join(file.read_bytes() for file in files)


def all_rows(database):
    """What whoever reads the tables sees."""
    with database._store.transaction("read") as tx:
        rows = [tx.all(f'SELECT * FROM "{name}"') for name in TABLES.tables]
    return repr(rows).encode()


def found(world):
    content = on_disk(world)
    return [canary for canary in CANARIES if canary.encode() in content]


def test_no_value_of_a_record_is_in_any_byte_of_the_file(world, secrets):
    target = FlakyAdapter.of(
        MemoryAdapter, Schedule({"write": [None, "lost_answer", "lost_answer"]})
    )
    world = world(
        secrets("key"), target=target, traits=NONE, flow={"match": ["externalId"]}
    )
    put(world)
    world.scan()
    assert found(world) == [], "planned"
    world.drain()
    assert world.states() == {"DONE": 1}
    put(world, family="Quillfeather-Two")
    world.go()
    assert world.states() == {"DONE": 1, "PARKED": 1}
    put(world, family="Quillfeather-Three")
    world.go()
    world.hr.put("people", [{"uid": "u7301-x", "given": "Zanzibar", "family": 7}])
    world.go()
    world.remove(7301)
    world.go()
    assert found(world) == []
    assert world.bridge.ledger.db._vault.names[0].encode() in on_disk(world)


def test_without_a_key_it_would_be_found(world):
    """The look itself is looked at."""
    world = world([])
    put(world)
    world.scan()
    assert set(found(world)) == set(CANARIES)


def test_everything_goes_on_as_without_a_key(world, secrets):
    world = world(secrets("key"))
    for number in range(6):
        world.put(number)
    world.go()
    world.put(3, family="Second")
    world.remove(4)
    world.go()
    world.put(4)
    world.go()
    assert world.same()
    world.crash()
    world.put(5, family="Third")
    world.go()
    assert world.same()
    assert world.social.doubled() == []


def test_a_plan_and_a_held_item_show_their_values(world, secrets):
    world = world(secrets("key"))
    put(world)
    plan = world.bridge.plan("people")
    assert plan.examples["create"][0].fields["name"]["familyName"] == "Quillfeather"


def test_the_wrong_key_is_refused_at_the_start(world, secrets):
    world = world(secrets("key"))
    put(world)
    world.scan()
    world.bridge.close()
    before = on_disk_alone(world)
    for keys, words in (
        (secrets("other"), "the given key is"),
        ([], "no key is given"),
    ):
        world.extra["ledger"]["key_file"] = keys
        with pytest.raises(ConfigurationError) as caught:
            world.open()
        assert caught.value.code == "ledger.key"
        assert words in caught.value.message
    assert on_disk_alone(world) == before
    world.extra["ledger"]["key_file"] = secrets("third")
    with pytest.raises(ConfigurationError):
        world.open()


def on_disk_alone(world):
    file = world.folder / "ledger.db"
    return file.read_bytes() if file.exists() else b""


def test_a_key_is_replaced_while_changes_wait(world, secrets):
    old, new = secrets("old"), secrets("new")
    world = world(old)
    world.put(7300)
    world.go()
    put(world)
    world.scan()
    world.extra["ledger"]["key_file"] = [new, old]
    world.reopen()
    world.put(7302)
    world.scan()
    world.drain()
    assert world.same()
    world.extra["ledger"]["key_file"] = [new]
    world.reopen()
    with world.bridge.ledger.read() as tx, pytest.raises(ConfigurationError) as caught:
        tx.all("SELECT a_key FROM link")
    assert caught.value.code == "ledger.key", "what the old key sealed needs it"


def test_a_ledger_that_began_without_a_key_can_get_one(world, secrets):
    world = world([])
    world.put(1)
    world.scan()
    world.extra["ledger"]["key_file"] = secrets("key")
    world.reopen()
    put(world)
    world.scan()
    world.drain()
    assert world.same()
    assert found(world) == []


@pytest.mark.parametrize(
    "text", ["short-key", "a" * 64 + "z", base64.b64encode(b"x" * 31).decode()]
)
def test_what_is_no_key_is_refused_without_being_shown(tmp_path, text):
    with pytest.raises(ConfigurationError) as caught:
        Ledger(f"sqlite:///{tmp_path}/l.db", keys=[Secret("(held)", SecretStr(text))])
    assert caught.value.code == "ledger.key"
    assert text not in str(caught.value)


def test_a_value_that_was_tampered_with_is_refused(world, secrets):
    world = world(secrets("key"))
    put(world)
    world.scan()
    with world.bridge.ledger.db._store.transaction("write") as tx:
        text = tx.value("SELECT payload FROM intent")
        changed = text[:-8] + ("A" if text[-8] != "A" else "B") + text[-7:]
        tx.run("UPDATE intent SET payload=?", changed)
    with world.bridge.ledger.read() as tx, pytest.raises(ConfigurationError) as caught:
        tx.all("SELECT payload FROM intent")
    assert caught.value.code == "ledger.key"


def test_text_that_looks_sealed_is_left_as_it_is(world, secrets):
    """A version or a location comes from outside; nobody can stop the reading by it."""
    world = world(secrets("key"))
    odd = "\x02deadbeef:QUJD"
    with world.bridge.ledger.write() as tx:
        tx.run(
            "INSERT INTO link(link_id, pair_id, a_ver, a_key, state) VALUES(9,1,?,?,0)",
            odd,
            odd,
        )
    with world.bridge.ledger.read() as tx:
        assert tx.one("SELECT a_ver, a_key FROM link WHERE link_id=9") == (odd, odd)


# --- which values of a statement hold content ---------------------------------------------


@pytest.mark.parametrize(
    ("sql", "places"),
    [
        ("UPDATE intent SET payload=? WHERE parcel_id=?", {0}),
        ("UPDATE intent SET state=?, error='a?b', payload=NULL WHERE pos=?", set()),
        ("UPDATE intent SET payload=coalesce(?, payload) WHERE ref=?", {0}),
        (
            "UPDATE link SET b_key=coalesce(?, b_key), b_ver=?, b_name=? WHERE link_id=?",
            {0, 2},
        ),
        (
            "UPDATE partition SET seq=?, cursor=CASE WHEN ?=1 THEN ? ELSE cursor END WHERE x=?",
            {1, 2},
        ),
        ("INSERT INTO hold(flow_id, detail, created) VALUES(?,?,?)", {1}),
        (
            "INSERT INTO hold(flow_id, k, detail) SELECT ?, k, ? FROM intent WHERE pos=?",
            {1},
        ),
        (
            "INSERT INTO before(parcel_id, image) VALUES(?,?) ON CONFLICT(parcel_id) DO UPDATE SET image=? WHERE pos=?",
            {1, 2},
        ),
        ("INSERT INTO meta(name, value) VALUES(?,?)", set()),
        ("SELECT payload FROM intent WHERE ref=?", set()),
        ("DELETE FROM reject WHERE flow_id=?", set()),
    ],
)
def test_values_for_content_are_found_in_every_form_of_statement(sql, places):
    assert content_in(sql) == places


def test_every_column_that_is_named_is_there():
    for table, columns in COLUMNS.items():
        there = {column.name for column in TABLES.tables[table].columns}
        assert columns <= there, table
