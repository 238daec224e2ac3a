"""Writes on real databases: outcomes, bisecting, versions, removal, lost answers."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import pytest

from moatbridge.changes import Absent, OutOfScope, Ref
from moatbridge.errors import ConfigurationError, MoatbridgeError, NotApplied
from moatbridge.testing import Fault, FaultProxy
from moatbridge.testing.stage import intent

FIELDS = ["nr", "login", "name", "gehalt", "v"]


def table_of(db: Any, *, unique: bool = False) -> str:
    table = db.name("w")
    login = "varchar(20) not null" + (" unique" if unique else "")
    db.sql(
        f"create table {table}(nr integer primary key, login {login}, name varchar(10), gehalt decimal(9,2), v integer default 0, weg integer default 0)"
    )
    return table


def opened(db: Any, table: str, **more: Any) -> Any:
    return db.open(table, FIELDS, writable=more.pop("writable", FIELDS), **more)


def person(nr: int, **more: Any) -> dict[str, Any]:
    return {
        "nr": nr,
        "login": f"u{nr}",
        "name": "Anna",
        "gehalt": Decimal("10.50"),
        **more,
    }


def creates(*records: dict[str, Any]) -> list[Any]:
    return [intent("create", None, record) for record in records]


def outcomes(receipts: Any) -> list[tuple[str, str]]:
    return [(receipt.outcome, receipt.code) for receipt in receipts]


def stored(db: Any, table: str) -> list[Any]:
    return db.sql(f"select nr, login, name from {table} order by nr")


def test_traits_tell_what_is_keyed(db: Any) -> None:
    table = table_of(db)
    natural = opened(db, table, version="v").traits("people")
    assert (
        natural.dedup,
        natural.key_scope,
        natural.conditional,
        natural.max_batch,
    ) == ("keyed", "object", True, 1000)
    assert opened(db, table, writable=["name"]).traits("people").dedup == "none"


def test_a_repeated_create_has_one_effect_and_the_same_ref(db: Any) -> None:
    table = table_of(db)
    intents = creates(person(2), person(1))
    for _ in range(2):
        receipts = opened(db, table).write("people", intents)
        assert [r.ref for r in receipts] == [Ref("2"), Ref("1")]
        assert outcomes(receipts) == [("applied", "")] * 2
    assert [row[0] for row in stored(db, table)] == [1, 2]


def test_only_named_writable_columns_change_and_none_clears(db: Any) -> None:
    table = table_of(db)
    opened(db, table).write("people", creates(person(1)))
    adapter = opened(db, table, writable=["name", "gehalt"])
    receipts = adapter.write(
        "people", [intent("update", Ref("1"), {"gehalt": None, "login": "stolen"})]
    )
    assert outcomes(receipts) == [("applied", "")]
    assert db.sql(f"select login, name, gehalt from {table}") == [("u1", "Anna", None)]


def test_an_update_never_creates_and_never_moves_a_key(db: Any) -> None:
    table = table_of(db)
    adapter = opened(db, table)
    adapter.write("people", creates(person(1)))
    receipts = adapter.write(
        "people",
        [
            intent("update", Ref("9"), {"name": "x"}),
            intent("update", Ref("1"), {"nr": 5, "name": "x"}),
            intent("update", Ref("one"), {"name": "x"}),
        ],
    )
    assert outcomes(receipts) == [
        ("rejected", "sql.gone"),
        ("rejected", "sql.key.data"),
        ("rejected", "sql.gone"),
    ]
    assert stored(db, table) == [(1, "u1", "Anna")]


def test_several_intents_for_one_key_apply_in_order(db: Any) -> None:
    table = table_of(db)
    adapter = opened(db, table, remove="delete")
    batch = [
        *creates(person(1)),
        intent("update", Ref("1"), {"name": "B"}),
        intent("update", Ref("1"), {"login": "z"}),
        *creates(person(2)),
        intent("delete", Ref("2"), None),
    ]
    assert outcomes(adapter.write("people", batch)) == [("applied", "")] * 5
    assert stored(db, table) == [(1, "z", "B")]


def test_three_bad_rows_of_many_stand_alone(refined: Any) -> None:
    table = table_of(refined)
    records = [person(n) for n in range(1, 1001)]
    for nr in (5, 500, 999):
        records[nr - 1]["login"] = None
    adapter = opened(refined, table)
    receipts = adapter.write("people", creates(*records))
    bad = {
        index + 1
        for index, receipt in enumerate(receipts)
        if receipt.outcome == "rejected"
    }
    assert bad == {5, 500, 999}
    assert {receipt.code for receipt in receipts if receipt.outcome == "rejected"} == {
        "sql.constraint.conflict"
    }
    assert refined.sql(f"select count(*) from {table}")[0][0] == 997


def test_too_many_bad_rows_stop_the_batch(refined: Any) -> None:
    table = table_of(refined)
    adapter = opened(refined, table)
    records = [person(n, login=None if n % 2 else "ok") for n in range(150)]
    with pytest.raises(ConfigurationError, match=r"sql\.many-rejects"):
        adapter.write("people", creates(*records))
    assert stored(refined, table) == []
    assert outcomes(adapter.write("people", creates(person(1)))) == [("applied", "")]


def test_values_that_do_not_fit_are_rejected_never_cut(db: Any) -> None:
    table = table_of(db)
    adapter = opened(db, table)
    records = [
        person(1, gehalt="much"),
        person(2, gehalt=Decimal("NaN")),
        person(3, login=7),
        {**person(4), "nr": None},
        person(5, name="a\0b"),
        person(6),
    ]
    receipts = adapter.write("people", creates(*records))
    assert [receipt.outcome for receipt in receipts] == ["rejected"] * 5 + ["applied"]
    if db.kind != "sqlite" and db.mode == "auto":
        long = adapter.write(
            "people",
            creates(person(7, name="x" * 11), person(8, gehalt=Decimal("1e9"))),
        )
        assert outcomes(long) == [("rejected", "sql.value.data")] * 2
    assert [row[0] for row in stored(db, table)] == [6]


def test_compare_and_set_by_version(db: Any) -> None:
    table = table_of(db)
    adapter = opened(db, table, version="v", remove="delete")
    made = adapter.write("people", creates(person(1, v=1), person(2, v=1)))
    assert [receipt.version for receipt in made] == ["1", "1"]
    batch = [
        intent("update", Ref("1"), {"name": "B", "v": 2}, before_version="1"),
        intent("update", Ref("2"), {"name": "B", "v": 2}, before_version="0"),
        intent("delete", Ref("2"), None, before_version="7"),
        intent("update", Ref("3"), {"name": "B"}, before_version="1"),
    ]
    receipts = adapter.write("people", batch)
    assert outcomes(receipts) == [
        ("applied", ""),
        ("not_applied", "sql.stale"),
        ("not_applied", "sql.stale"),
        ("rejected", "sql.gone"),
    ]
    assert receipts[0].version == "2"
    assert adapter.fetch("people", [Ref("1")])[0].version == "2"


def test_a_version_of_ours_never_goes_back(db: Any) -> None:
    table = table_of(db, unique=True)
    adapter = opened(db, table, version="v", external_id="login")
    adapter.write("people", creates(person(1, v=5)))
    receipts = adapter.write("people", creates(person(1, v=4, name="old")))
    assert outcomes(receipts) == [("not_applied", "sql.stale")]
    assert outcomes(adapter.write("people", creates(person(1, v=5)))) == [
        ("applied", "")
    ]
    assert stored(db, table) == [(1, "u1", "Anna")]


def test_remove_modes(db: Any) -> None:
    table = table_of(db)
    opened(db, table).write("people", creates(person(1), person(2)))
    refuse = opened(db, table)
    assert outcomes(refuse.write("people", [intent("delete", Ref("1"), None)])) == [
        ("rejected", "sql.remove.rights")
    ]
    mark = opened(db, table, deleted={"column": "weg", "value": 1})
    for _ in range(2):
        assert outcomes(mark.write("people", [intent("delete", Ref("1"), None)])) == [
            ("applied", "")
        ]
    assert isinstance(mark.fetch("people", [Ref("1")])[0], OutOfScope)
    remove = opened(db, table, remove="delete")
    for _ in range(2):
        assert outcomes(remove.write("people", [intent("delete", Ref("2"), None)])) == [
            ("applied", "")
        ]
    assert isinstance(remove.fetch("people", [Ref("2")])[0], Absent)
    assert [row[0] for row in stored(db, table)] == [1]


def test_a_delete_that_others_refer_to_is_rejected_alone(db: Any) -> None:
    table, child = table_of(db), db.name("child")
    db.sql(
        f"create table {child}(id integer primary key, nr integer, foreign key (nr) references {table}(nr))"
    )
    adapter = opened(db, table, remove="delete")
    adapter.write("people", creates(person(1), person(2), person(3)))
    db.sql(f"insert into {child} values (1, 2)")
    receipts = adapter.write(
        "people", [intent("delete", Ref(str(n)), None) for n in (1, 2, 3)]
    )
    assert outcomes(receipts) == [
        ("applied", ""),
        ("rejected", "sql.constraint.conflict"),
        ("applied", ""),
    ]


def test_generated_ids_with_an_external_id_are_keyed_and_burn_nothing(db: Any) -> None:
    table = db.name("g")
    serial = {
        "postgresql": "integer generated by default as identity primary key",
        "mariadb": "integer auto_increment primary key",
        "sqlite": "integer primary key",
    }[db.kind]
    db.sql(
        f"create table {table}(id {serial}, ext varchar(30) not null unique, name varchar(10))"
    )
    streams = {"writable": ["ext", "name"], "external_id": "ext"}
    intents = creates({"ext": "a", "name": "A"}, {"ext": "b", "name": "B"})
    refs = []
    for _ in range(5):
        adapter = db.open(table, ["id", "ext", "name"], **streams)
        assert adapter.traits("people").dedup == "keyed"
        refs.append([receipt.ref.id for receipt in adapter.write("people", intents)])
    assert refs == [refs[0]] * 5
    adapter.write("people", creates({"ext": "c", "name": "C"}))
    assert [row[0] for row in db.sql(f"select id from {table} order by id")] == [
        1,
        2,
        3,
    ]


def test_generated_ids_without_a_key_of_ours_come_back(db: Any) -> None:
    table = db.name("g")
    serial = {
        "postgresql": "integer generated by default as identity primary key",
        "mariadb": "integer auto_increment primary key",
        "sqlite": "integer primary key",
    }[db.kind]
    db.sql(f"create table {table}(id {serial}, name varchar(10) not null)")
    adapter = db.open(table, ["id", "name"], writable=["name"])
    assert adapter.traits("people").dedup == "none"
    receipts = adapter.write(
        "people", creates({"name": "A"}, {"name": None}, {"name": "B"})
    )
    assert [receipt.ref and receipt.ref.id for receipt in receipts][::2] == [
        str(n) for n in db_ids(db, table)
    ]
    assert receipts[1].outcome == "rejected"


def db_ids(db: Any, table: str) -> list[int]:
    return [row[0] for row in db.sql(f"select id from {table} order by id")]


def test_two_unique_indexes_never_overwrite_another_row(db: Any) -> None:
    """ON DUPLICATE KEY would turn login 'u1' of number 2 into an update of number 1."""
    table = table_of(db, unique=True)
    adapter = opened(db, table)
    receipts = adapter.write(
        "people", creates(person(1), person(2, login="u1", name="Bert"))
    )
    assert outcomes(receipts) == [
        ("applied", ""),
        ("rejected", "sql.constraint.conflict"),
    ]
    assert stored(db, table) == [(1, "u1", "Anna")]


def test_a_trigger_that_refuses_is_a_rule(refined: Any) -> None:
    table = table_of(refined)
    body = {
        "postgresql": f"create function no{table}() returns trigger language plpgsql as $$ begin if new.name = 'Verboten' then raise exception 'secret %%', new.name; end if; return new; end $$;"
        f"create trigger t before insert on {table} for each row execute function no{table}()".replace(
            "%%", "%"
        ),
        "mariadb": f"create trigger t{table} before insert on {table} for each row begin if new.name = 'Verboten' then signal sqlstate '45000' set message_text = 'secret'; end if; end",
        "sqlite": f"create trigger t{table} before insert on {table} when new.name = 'Verboten' begin select raise(abort, 'secret'); end",
    }[refined.kind]
    refined.sql(body)
    receipts = opened(refined, table).write(
        "people", creates(person(1), person(2, name="Verboten"))
    )
    assert outcomes(receipts) == [("applied", ""), ("rejected", "sql.rule.data")]


def test_a_deferred_constraint_is_checked_per_row(pg: Any) -> None:
    table, parent = pg.name("w"), pg.name("parent")
    pg.sql(
        f"create table {parent}(id integer primary key); insert into {parent} values (1)"
    )
    pg.sql(
        f"create table {table}(nr integer primary key, p integer references {parent} deferrable initially deferred)"
    )
    adapter = pg.open(table, ["nr", "p"], writable=["nr", "p"])
    receipts = adapter.write("people", creates({"nr": 1, "p": 1}, {"nr": 2, "p": 2}))
    assert outcomes(receipts) == [
        ("applied", ""),
        ("rejected", "sql.constraint.conflict"),
    ]


def test_unchanged_rows_fire_no_trigger(pg: Any) -> None:
    """A touch trigger would otherwise echo every repeated write."""
    table = pg.name("w")
    pg.sql(
        f"create table {table}(nr integer primary key, name text, extra jsonb, stand integer default 0);"
        f"create function touch{table}() returns trigger language plpgsql as $$ begin new.stand = old.stand + 1; return new; end $$;"
        f"create trigger t before update on {table} for each row execute function touch{table}()"
    )
    adapter = pg.open(
        table, ["nr", "name", "extra", "stand"], writable=["nr", "name", "extra"]
    )
    record = {"nr": 1, "name": "A", "extra": {"x": [1]}}
    for _ in range(2):
        adapter.write("people", creates(record))
        adapter.write("people", [intent("update", Ref("1"), record)])
    assert pg.sql(f"select stand from {table}") == [(0,)]
    adapter.write("people", [intent("update", Ref("1"), {"extra": {"x": [2]}})])
    assert pg.sql(f"select stand, extra from {table}") == [(1, {"x": [2]})]


def test_arrays_and_every_plain_type_are_written(pg: Any) -> None:
    table = pg.name("w")
    pg.sql(
        f"create table {table}(nr bigint primary key, a text[], d date, ts timestamptz, u uuid, b bytea, f float8, flag boolean, c char(4), i interval, jn char(1))"
    )
    names = ["nr", "a", "d", "ts", "u", "b", "f", "flag", "c", "i", "jn"]
    adapter = pg.open(table, names, writable=names, types={"jn": "bool:J/N"})
    record = {
        "nr": 1,
        "a": ["x", None],
        "d": "2024-02-29",
        "ts": "2024-05-01T08:00:00+02:00",
        "u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "b": b"\x00",
        "f": 1.5,
        "flag": True,
        "c": "ab",
        "i": "P1M",
        "jn": False,
    }
    plain = {key: value for key, value in record.items() if key != "a"}
    assert (
        outcomes(adapter.write("people", creates(record, {**plain, "nr": 2})))
        == [("applied", "")] * 2
    )
    first, second = pg.records(adapter)
    assert first["a"] == ["x", None]
    assert second == {**first, "nr": 2, "a": None}
    assert first["jn"] is False
    assert first["i"] == "P1M"


def test_storage_that_cannot_roll_back_is_told(my: Any) -> None:
    table = my.name("w")
    my.sql(
        f"create table {table}(nr integer primary key, name varchar(5) not null) engine=MyISAM"
    )
    adapter = my.open(table, ["nr", "name"], writable=["nr", "name"])
    assert any("cannot roll back" in text for text in adapter.probe().warnings)
    receipts = adapter.write(
        "people",
        creates(
            {"nr": 1, "name": "A"}, {"nr": 2, "name": None}, {"nr": 3, "name": "C"}
        ),
    )
    assert [receipt.outcome for receipt in receipts] == [
        "applied",
        "rejected",
        "applied",
    ]


def test_a_busy_database_is_not_applied(refined: Any) -> None:
    table = table_of(refined)
    opened(refined, table).write("people", creates(person(1)))
    holder = refined.connect()
    cursor = holder.cursor()
    cursor.execute("begin immediate" if refined.kind == "sqlite" else "begin")
    cursor.execute(f"update {table} set name = 'held' where nr = 1")
    adapter = opened(
        refined, table, lock_timeout=0.05 if refined.kind != "mariadb" else 1
    )
    with pytest.raises(NotApplied, match=r"sql\.busy"):
        adapter.write("people", [intent("update", Ref("1"), {"name": "B"})])
    cursor.execute("rollback")
    holder.close()
    assert outcomes(
        adapter.write("people", [intent("update", Ref("1"), {"name": "B"})])
    ) == [("applied", "")]


def test_a_read_only_stream_is_not_written(refined: Any) -> None:
    table = table_of(refined)
    adapter = refined.open(table, FIELDS)
    assert "CanWrite" not in adapter.streams()[0].abilities
    with pytest.raises(ConfigurationError, match=r"sql\.not-writable"):
        adapter.write("people", creates(person(1)))
    with pytest.raises(ConfigurationError, match=r"sql\.not-writable"):
        refined.open(table, FIELDS, writable=["nr"], read_only=True).write(
            "people", creates(person(1))
        )


@pytest.mark.parametrize("kind", ["pg", "my"])
def test_an_account_without_the_right_is_a_configuration_error(
    kind: str, request: pytest.FixtureRequest
) -> None:
    refined = request.getfixturevalue(kind)
    table = table_of(refined)
    with pytest.raises(ConfigurationError, match=r"sql\.rights"):
        opened(refined, table, role="reader").write("people", creates(person(1)))


@pytest.mark.parametrize("kind", ["pg", "my"])
def test_a_commit_without_an_answer_is_unknown_and_may_be_repeated(
    kind: str, request: pytest.FixtureRequest
) -> None:
    db = request.getfixturevalue(kind)
    table = table_of(db)
    intents = creates(person(1), person(2, login=None), person(3))
    with FaultProxy(*db.server.endpoint) as proxy:
        adapter = opened(db, table, endpoint=proxy.endpoint)
        transaction = _stalled_commit(adapter, proxy)
        receipts = _write_and_cut(adapter, proxy, intents)
        assert transaction.is_set(), "COMMIT was sent"
    assert outcomes(receipts) == [
        ("unknown", "sql.commit-lost"),
        ("rejected", "sql.constraint.conflict"),
        ("unknown", "sql.commit-lost"),
    ]
    assert outcomes(opened(db, table).write("people", intents))[0] == ("applied", "")
    assert [row[0] for row in stored(db, table)] == [1, 3]


@pytest.mark.parametrize("kind", ["pg", "my"])
def test_a_connection_lost_before_commit_is_not_applied(
    kind: str, request: pytest.FixtureRequest
) -> None:
    db = request.getfixturevalue(kind)
    table = table_of(db)
    with FaultProxy(*db.server.endpoint) as proxy:
        adapter = opened(db, table, endpoint=proxy.endpoint)
        proxy.fault = Fault(reset_after=0)
        with pytest.raises(NotApplied, match=r"sql\.unreachable"):
            adapter.write("people", creates(person(1)))
        with pytest.raises(MoatbridgeError):
            adapter.write("people", creates(person(1)))
    assert stored(db, table) == []


def _stalled_commit(adapter: Any, proxy: FaultProxy) -> threading.Event:
    """From the moment COMMIT is about to be sent no answer passes any more."""
    import sqlalchemy as sa

    sent = threading.Event()

    def stall(connection: Any) -> None:
        if connection.get_execution_options().get("moatbridge_write"):
            proxy.fault = Fault(stall_after=0)
            sent.set()

    sa.event.listen(adapter._database._connection, "commit", stall)
    return sent


def _write_and_cut(adapter: Any, proxy: FaultProxy, intents: list[Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(
        target=lambda: found.append(adapter.write("people", intents))
    )
    thread.start()
    assert proxy.stuck.wait(60), "the server never answered the COMMIT"
    proxy.fault = Fault(reset_after=0)
    thread.join(10)
    return found[0]
