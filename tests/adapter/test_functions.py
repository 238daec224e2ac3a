"""An adapter made of plain functions keeps every promise of one written as a class."""

from __future__ import annotations

import json
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path  # noqa: TC003 - pydantic reads it

import pytest

from moatbridge import Bridge, Registry
from moatbridge.adapter import (
    AdapterConfig,
    CanScan,
    CanWrite,
    Field,
    PageSize,
    Partition,
    Probe,
    Query,
    StreamFunctions,
    make_adapter,
)
from moatbridge.changes import Absent, Ref, Reject
from moatbridge.config import parse
from moatbridge.errors import (
    ConfigurationError,
    CursorTooOld,
    NotApplied,
    OutcomeUnknown,
    Rejected,
)
from moatbridge.testing import AdapterConformance, Harness, net
from moatbridge.testing.stage import intent

COLUMNS = (
    "id INTEGER PRIMARY KEY, login TEXT NOT NULL UNIQUE, mail TEXT, made TEXT UNIQUE"
)
FIELDS = ["id", Field("login", required=True, unique=True), "mail"]


class TableConfig(AdapterConfig):
    path: Path
    page_size: PageSize = 5


def connect(config, _net):
    found = sqlite3.connect(config.path, isolation_level=None, check_same_thread=False)
    found.row_factory = sqlite3.Row
    return found


def rows(database, where="1", values=()):
    sql = f"SELECT id, login, mail FROM people WHERE {where} ORDER BY id"
    return (dict(row) for row in database.execute(sql, values))


def create(database, record, key):
    sql = "INSERT INTO people (login, mail, made) VALUES (?, ?, ?) ON CONFLICT (made) DO NOTHING"
    try:
        database.execute(sql, (record["login"], record.get("mail"), key))
    except sqlite3.IntegrityError:
        raise Rejected("That login is taken.", kind="conflict") from None
    return database.execute("SELECT id FROM people WHERE made=?", (key,)).fetchone()[0]


def update(database, key, record):
    for name, value in record.items():
        done = database.execute(f"UPDATE people SET {name}=? WHERE id=?", (value, key))
        if not done.rowcount:
            raise Rejected("There is no such row.", kind="gone")


def delete(database, key):
    database.execute("DELETE FROM people WHERE id=?", (key,))


PEOPLE = StreamFunctions(
    name="people",
    key="id",
    fields=FIELDS,
    read=rows,
    fetch=lambda db, ids: rows(db, f"id IN ({','.join('?' * len(ids))})", ids),
    find=lambda db, field, value: rows(db, f"{field}=?", (value,)),
    create=create,
    update=update,
    delete=delete,
    dedup="keyed",
    entity="Person",
)
TableAdapter = make_adapter(
    "table",
    TableConfig,
    PEOPLE,
    connect=connect,
    probe=lambda db: Probe(
        "table:" + db.execute("SELECT name FROM about").fetchone()[0]
    ),
)


def table(path):
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")  # who reads holds up no writer
        database.execute(f"CREATE TABLE people ({COLUMNS})")
        database.execute("CREATE TABLE about (name TEXT)")
        database.execute("INSERT INTO about VALUES (?)", (path.name,))
        database.commit()
    return path


class TableHarness(Harness):
    unique = "login"
    clearable = "mail"

    def __init__(self, path):
        self.path = table(path)

    def make(self, *, endpoint=None, credentials="good"):
        return TableAdapter(TableConfig(path=self.path), {})

    def sample(self, count):
        names = [secrets.token_hex(8) for _ in range(count)]
        return [{"login": name, "mail": f"{name}@mail.example"} for name in names]

    def _do(self, sql, values):
        with closing(sqlite3.connect(self.path)) as database, database:
            database.executemany(sql, values)

    def seed(self, records):
        self._do("INSERT INTO people (login, mail) VALUES (:login, :mail)", records)

    def read_all(self):
        with closing(connect(TableConfig(path=self.path), None)) as database:
            return list(rows(database))

    def remove(self, values):
        self._do("DELETE FROM people WHERE login=?", [(value,) for value in values])

    def change(self, record):
        return {"mail": f"{secrets.token_hex(8)}@mail.example"}

    def broken(self):
        return {"login": None, "mail": None}

    def absent(self):
        return Ref("999999999")


class TestFunctions(AdapterConformance):
    adapter = TableAdapter
    features = frozenset({"keyed"})

    @pytest.fixture
    def harness(self, tmp_path):
        return TableHarness(tmp_path / "people.db")


def opened(**functions):
    """An open adapter of one stream with these functions over a plain list of calls."""
    functions = {"name": "things", "key": "id", "fields": ("id", "text"), **functions}
    kind = make_adapter(
        "box",
        AdapterConfig,
        StreamFunctions(**functions),
        connect=lambda _config, _net: [],
        probe=lambda _calls: "box",
    )
    adapter = kind(AdapterConfig(), {})
    adapter.net = net(())
    adapter.open()
    return adapter


def scanned(adapter, after=None):
    return list(adapter.scan("things", Partition(), after))


def test_abilities_follow_from_the_functions():
    adapter = opened(read=lambda _: [])
    assert type(adapter).abilities == {"CanScan"}
    assert isinstance(adapter, CanScan)
    assert not isinstance(adapter, CanWrite)
    writer = opened(create=lambda *_: "1")
    assert type(writer).abilities == {"CanWrite"}
    assert writer.streams()[0].abilities == {"CanWrite"}


def test_streams_of_one_adapter_have_their_own_abilities():
    fields = ("id", "text")
    kind = make_adapter(
        "two-things",
        AdapterConfig,
        StreamFunctions(name="in", key="id", fields=fields, read=lambda _: []),
        StreamFunctions(name="out", key="id", fields=fields, delete=lambda *_: None),
        connect=lambda _config, _net: None,
        probe=lambda _: "two",
    )
    assert kind.__name__ == "TwoThingsAdapter"
    assert kind.abilities == {"CanScan", "CanWrite"}
    adapter = kind(AdapterConfig(), {})
    adapter.net = net(())
    with adapter:
        assert [s.abilities for s in adapter.streams()] == [{"CanScan"}, {"CanWrite"}]
        with pytest.raises(Rejected, match="cannot be read"):
            list(adapter.scan("out", Partition(), None))


def test_a_field_that_a_record_does_not_have_says_nothing_and_none_clears():
    adapter = opened(read=lambda _: [{"id": 1, "other": "x"}, {"id": 2, "text": None}])
    first, second = scanned(adapter)[0].changes
    assert (first.data, first.incomplete) == ({"id": "1"}, ("text",))
    assert (second.data, second.incomplete) == ({"id": "2", "text": None}, ())


def test_a_record_that_does_not_fit_is_a_reject_and_the_others_go_on():
    odd = [
        {"id": "1", "text": 5},
        {"text": "no key"},
        {"id": True, "text": "x"},
        ["not", "a", "record"],
        Reject("box.line", "line 5"),
        {"id": "1", "text": ["x"]},
        {"id": "7", "text": "fits"},
    ]
    [batch] = scanned(opened(read=lambda _: odd))
    assert [change.ref.id for change in batch.changes] == ["7"]
    assert [(r.reason, r.location, r.field) for r in batch.rejects] == [
        ("box.value", "record 1", "text"),
        ("box.key", "record 2", "id"),
        ("box.key", "record 3", "id"),
        ("box.value", "record 4", None),
        ("box.line", "line 5", None),
        ("box.value", "record 6", "text"),
    ]
    assert batch.complete


def test_a_pass_that_breaks_off_is_never_complete():
    def read(_):
        yield {"id": "1", "text": "a"}
        raise ConnectionResetError

    seen = []
    with pytest.raises(NotApplied) as caught:
        seen.extend(opened(read=read).scan("things", Partition(), None))
    assert caught.value.code == "box.unreachable"
    assert not any(batch.complete for batch in seen)


def test_what_cannot_resume_begins_again_and_what_is_sorted_goes_on_after_the_key():
    with pytest.raises(CursorTooOld):
        scanned(opened(read=lambda _: []), {"after": "1"})
    data = [{"id": f"{n:04}", "text": "x"} for n in range(1200)]
    asked = []

    def read_after(_, after):
        asked.append(after)
        return (row for row in data if after is None or row["id"] > after)

    adapter = opened(read_after=read_after)
    first, second, last = scanned(adapter)
    assert [len(b.changes) for b in (first, second, last)] == [500, 500, 200]
    assert scanned(adapter, json.loads(json.dumps(first.cursor)))[-1].complete
    assert asked == [None, "0499"]


def test_a_scan_left_half_way_closes_the_authors_generator():
    closed = []

    def read(_):
        try:
            for n in range(10_000):
                yield {"id": n, "text": "x"}
        finally:
            closed.append(True)

    half = opened(read=read).scan("things", Partition(), None)
    next(half)
    half.close()
    assert closed == [True]


def test_a_record_that_cannot_be_read_is_not_absent():
    adapter = opened(fetch=lambda _, ids: [{"id": "1", "text": 5}])
    with pytest.raises(Rejected):
        adapter.fetch("things", [Ref("1")])
    adapter = opened(fetch=lambda _, ids: [{"id": "2", "text": "x"}])
    absent, there = adapter.fetch("things", [Ref("1"), Ref("2")])
    assert absent == Absent(Ref("1"))
    assert there.data["text"] == "x"


def test_hits_that_are_none_are_left_out():
    near = [{"id": "1", "text": "ab"}, {"id": "2", "text": "a"}]
    adapter = opened(find=lambda *_: near)
    [[hit]] = adapter.find("things", [Query("text", "a")])
    assert hit.ref.id == "2"


def test_what_does_not_fit_never_reaches_the_writing_function():
    called = []
    adapter = opened(
        fields=("id", Field("text", required=True), Field("tags", multi=True)),
        create=lambda _, record, key: called.append(record),
        update=lambda _, key, record: called.append(record),
    )
    bad = [
        intent("create", None, {}),
        intent("create", None, {"text": "x", "more": "x"}),
        intent("create", None, {"text": "x", "id": "9"}),
        intent("create", None, {"text": 5}),
        intent("update", Ref("1"), {"text": None}),
        intent("update", Ref("1"), {"tags": "x"}),
        intent("update", Ref("1"), {"tags": ["x"]}, owned=("tags[type=a].value",)),
    ]
    receipts = adapter.write("things", bad)
    assert [(r.outcome, r.reason) for r in receipts] == [("rejected", "data")] * 7
    assert called == []


def test_a_create_that_names_nothing_is_unknown_and_a_delete_of_nothing_is_done():
    def delete(_, key):
        raise Rejected("It is gone.", kind="gone")

    adapter = opened(create=lambda *_: "", delete=delete)
    made, gone, lost = adapter.write(
        "things",
        [
            intent("create", None, {"text": "x"}),
            intent("delete", Ref("1"), None),
            intent("update", Ref("1"), {"text": "x"}),
        ],
    )
    assert (made.outcome, made.code) == ("unknown", "box.no-id")
    assert gone.outcome == "applied"
    assert (lost.outcome, lost.reason) == ("rejected", "data")


def test_opening_fails_with_a_typed_error_and_closes_what_was_made():
    class Handle:
        closed = False

        def close(self):
            self.closed = True

    handle = Handle()

    def probe(_):
        raise TimeoutError

    kind = make_adapter(
        "box",
        AdapterConfig,
        StreamFunctions(name="a", key="id", fields=["id"], read=lambda _: []),
        connect=lambda _config, _net: handle,
        probe=probe,
    )
    adapter = kind(AdapterConfig(), {})
    adapter.net = net(())
    with pytest.raises(NotApplied):
        adapter.open()
    adapter.close()
    adapter.close()
    assert handle.closed


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "no-field", "read": lambda _: []},
        {"read": lambda _: [], "read_after": lambda *_: []},
        {},
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused_at_once(wrong):
    with pytest.raises(ConfigurationError) as caught:
        opened(**wrong)
    assert caught.value.code == "adapter.functions"


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (Rejected("no", kind="rights"), "rejected", "box.rights"),
        (Rejected("no", code="box.taken.conflict"), "rejected", "box.taken.conflict"),
        (OutcomeUnknown("lost", code="box.server"), "unknown", "box.server"),
        (NotApplied("old", code="box.stale"), "not_applied", "box.stale"),
        (TimeoutError(), "unknown", "box.lost"),
        (KeyError("a personal value"), "unknown", "adapter.bug"),
    ],
)
def test_what_befalls_one_record_has_its_own_receipt_and_the_others_go_on(
    error, outcome, code, caplog
):
    def create(calls, record, key):
        calls.append(key)
        if len(calls) == 2:
            raise error
        return key

    records = [intent("create", None, {"text": "x"}) for _ in range(3)]
    receipts = opened(create=create).write("things", records)
    assert [r.outcome for r in receipts] == ["applied", outcome, "applied"]
    assert receipts[1].code == code
    assert "personal" not in caplog.text


@pytest.mark.parametrize(
    "error",
    [NotApplied("busy", code="box.busy", retry_after=3), ConfigurationError("no")],
)
def test_what_befalls_the_system_ends_the_call_and_the_rest_was_not_sent(error):
    def create(calls, record, key):
        calls.append(key)
        if len(calls) == 2:
            raise error
        return key

    adapter = opened(create=create)
    records = [intent("create", None, {"text": "x"}) for _ in range(4)]
    receipts = adapter.write("things", records)
    assert [r.outcome for r in receipts] == ["applied", *["not_applied"] * 3]
    assert receipts[1].code == error.code
    assert receipts[1].retry_after == getattr(error, "retry_after", None)
    assert receipts[3].code == "box.not-sent"

    def refused(*_):
        raise error

    with pytest.raises(type(error)):
        opened(create=refused).write("things", records)


def test_after_two_unknown_outcomes_in_a_row_nothing_more_is_sent():
    def create(calls, record, key):
        calls.append(key)
        raise OutcomeUnknown("No answer.", code="box.server")

    adapter = opened(create=create)
    records = [intent("create", None, {"text": "x"}) for _ in range(5)]
    receipts = adapter.write("things", records)
    assert [r.outcome for r in receipts] == ["unknown"] * 2 + ["not_applied"] * 3


def test_nothing_is_begun_that_the_time_left_would_not_do_for(monkeypatch):
    adapter = opened(create=lambda _, record, key: key)
    monkeypatch.setattr(adapter.net, "remaining", lambda: -1.0)
    records = [intent("create", None, {"text": "x"}) for _ in range(3)]
    receipts = adapter.write("things", records)
    assert [r.outcome for r in receipts] == ["applied", "not_applied", "not_applied"]
    assert {r.code for r in receipts[1:]} == {"box.not-sent"}


def test_a_flow_runs_between_two_systems_of_functions(tmp_path):
    registry = Registry(discover=False)
    registry.register("table", TableAdapter)
    harness = TableHarness(tmp_path / "hr.db")
    harness.seed(harness.sample(12))
    target = table(tmp_path / "app.db")
    person = {"entity": "Person", "fields": {"userName": "login"}}
    person["fields"]["emails[type=work].value"] = "mail"
    config = parse(
        {
            "ledger": {"url": f"sqlite:///{tmp_path}/ledger.db"},
            "systems": {
                "hr": {"adapter": "table", "path": str(harness.path)},
                "app": {
                    "adapter": "table",
                    "path": str(target),
                    "max_label": "confidential",
                },
            },
            "streams": {
                "hr/people": {"translator": person},
                "app/people": {"translator": person},
            },
            "flows": {"people": {"from": "hr/people", "to": "app/people"}},
        },
        registry,
    )
    with Bridge(config, registry=registry) as bridge:
        plan = bridge.plan("people")
        assert plan.guarantee == "effectively-once"
        done = bridge.apply(plan, confirm=plan.verdict.count, actor="ops@example.org")
        assert (done.state, done.delivered) == ("done", 12)
        [first, *_] = harness.read_all()
        harness._do("UPDATE people SET mail=NULL WHERE login=?", [(first["login"],)])
        assert bridge.run("people").delivered == 1
    with closing(connect(TableConfig(path=target), None)) as database:
        arrived = {row["login"]: row["mail"] for row in rows(database)}
    assert arrived == {row["login"]: row["mail"] for row in harness.read_all()}
