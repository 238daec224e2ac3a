"""Reading a SQLite file without SQLAlchemy: the same tables, the same rows, or not at all."""

from __future__ import annotations

import itertools
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from moatbridge.errors import ConfigurationError
from moatbridge.testing import net
from moatbridge_sql import SqlConfig, _url
from moatbridge_sql._config import Condition, Deleted
from moatbridge_sql._database import PagePlan
from moatbridge_sql._schema import Selection
from moatbridge_sql.engine import open_database
from moatbridge_sql.engine._session import Session
from moatbridge_sql.engine._sqlite_plain import PlainSession

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLAIN = (
    "integer", "INT", "bigint", "smallint", "text", "varchar(40)", "VARCHAR", "char(3)",
    "decimal(10,2)", "decimal(10, 2)", "numeric", "numeric(5)", "real", "double", "float",
    "blob", "boolean", "date", "datetime", "timestamp", "time",
)  # fmt: skip
ODD = (
    "", "nvarchar(9)", "double precision", "unsigned big int", "money", "text(9)", "json",
    "varchar(3,4)", "float(3)", "integer check (1)", "nchar(3)",
)  # fmt: skip
NAMES = ('we"ird', "select", "per%cent", "Ümlaut", "c0", ":x", "?", "semi;colon")
NUMBERS = itertools.count()


class Both:
    """One file, and both ways to read it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = SqlConfig(url=f"sqlite:///{path}")
        self.execute("create table here(x)")
        self.plain = PlainSession(self.config, net(()))
        self.whole = Session(self.config, net(()), read_only=True)

    def execute(self, *texts: str, rows: Any = ()) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for text in texts:
                connection.execute(text)
            for text, values in rows:
                connection.executemany(text, values)

    def described(self, name: str) -> tuple[Any, Any]:
        whole = Session(self.config, net(()), read_only=True)  # its catalogue is fresh
        try:
            return self.plain.describe([name])[name], whole.describe([name])[name]
        finally:
            whole.close()

    def close(self) -> None:
        self.plain.close()
        self.whole.close()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    made = Both(tmp_path_factory.mktemp("plain") / "hr.db")
    yield made
    made.close()


COLUMN = st.tuples(
    st.sampled_from(PLAIN + ODD),
    st.sampled_from(["", " not null", " default 1", " unique", " collate nocase"]),
)


@given(
    types=st.lists(COLUMN, min_size=1, max_size=6),
    key=st.lists(st.integers(0, 5), max_size=3, unique=True),
    indexes=st.lists(
        st.tuples(st.booleans(), st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True)),
        max_size=3,
    ),
    more=st.sampled_from(["", "without rowid", "computed", "partial", "expression"]),
)  # fmt: skip
@settings(max_examples=60)
@example(types=[("varchar(3,4)", "")], key=[], indexes=[], more="")
@example(types=[("integer", "")], key=[0], indexes=[], more="")
@example(types=[(kind, "") for kind in PLAIN], key=[0], indexes=[], more="")
def test_a_table_is_described_alike(
    both: Both, types: Any, key: Any, indexes: Any, more: str
) -> None:
    table = f"t{next(NUMBERS)}"
    names = [f"k{at}" for at in range(len(types))]
    parts = [f"{n} {t}{m}" for n, (t, m) in zip(names, types, strict=True)]
    keys = [names[at] for at in key if at < len(names)]
    if more == "computed":
        parts.append(f"sum integer generated always as ({names[0]} + 1) stored")
    if keys:
        parts.append(f"primary key ({', '.join(keys)})")
    rowless = more == "without rowid" and keys
    made = [
        f"create table {table}({', '.join(parts)}){' without rowid' if rowless else ''}"
    ]
    for at, (unique, columns) in enumerate(indexes):
        found = [names[c] for c in columns if c < len(names)] or names[:1]
        kind = "unique index" if unique else "index"
        made.append(f"create {kind} {table}_{at} on {table}({', '.join(found)})")
    if more == "partial":
        made.append(
            f"create unique index {table}_p on {table}({names[0]}) where {names[0]} > 0"
        )
    if more == "expression":
        made.append(f"create unique index {table}_e on {table}(lower({names[0]}))")
    both.execute(
        *made, f"create view {table}v as select {names[0]} as one from {table}"
    )
    for name in (table, f"{table}v"):
        plain, whole = both.described(name)
        assert plain == whole


ROWS = 30
SCALAR = st.one_of(
    st.integers(-5, 40), st.sampled_from(["u1", "U2", "5", "%", "u_", "/", ""]), st.booleans()
)  # fmt: skip
CONDITION = st.one_of(
    st.builds(Condition, column=st.sampled_from(["login", "nr", *NAMES]),
              op=st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), value=SCALAR),
    st.builds(Condition, column=st.sampled_from(["login", NAMES[0]]),
              op=st.just("starts-with"), value=st.sampled_from(["u", "U1", "%", "_", "/"])),
    st.builds(Condition, column=st.sampled_from(["login", "nr"]), op=st.just("in"),
              value=st.lists(SCALAR, max_size=4).map(tuple)),
    st.builds(Condition, column=st.sampled_from(["login", "titel"]),
              op=st.sampled_from(["is-null", "not-null"])),
)  # fmt: skip
KEYS = st.sampled_from([("nr",), ("part", "nr"), ("login",)])
CURSORS = st.sampled_from(["stand", "zahl", "tag"])


def table_of(both: Both) -> Any:
    name = "rows"
    columns = "".join(f', "{n.replace(chr(34), chr(34) * 2)}" text' for n in NAMES)
    both.execute(
        f"create table if not exists {name}(nr integer not null, part text not null, "
        f"login varchar(20) not null, titel text, zahl decimal(9,2), stand datetime, "
        f"tag date, weg integer{columns}, primary key (part, nr))",
        "create unique index if not exists rows_nr on rows(nr)",
        "create unique index if not exists rows_login on rows(login)",
        f"delete from {name}",
    )
    marks = ", ".join("?" * (8 + len(NAMES)))
    rows = [
        (n, "ab"[n % 2], f"u{n}", None if n % 3 else f"t{n}", n / 4 if n % 5 else None,
         f"2024-01-{n % 9 + 1:02} 10:00:00", None if n % 7 == 0 else f"2024-02-{n % 5 + 1:02}",
         n % 4, *(f"u{n % 3}" if at % 2 else None for at in range(len(NAMES))))
        for n in range(ROWS)
    ]  # fmt: skip
    both.execute(rows=[(f"insert into {name} values ({marks})", rows)])
    return both.described(name)[0]


@pytest.fixture(scope="module")
def table(both: Both) -> Any:
    return table_of(both)


def ways(both: Both, ask: Any) -> None:
    assert ask(both.plain) == ask(both.whole)


def walked(plan: PagePlan) -> Any:
    return lambda session: [
        (list(map(tuple, p.rows)), p.after, p.cursor_after, p.last, p.twin)
        for p in session.pages(plan)
    ]


@settings(max_examples=60)
@given(
    where=st.lists(CONDITION, max_size=2).map(tuple),
    deleted=st.sampled_from([None, Deleted(column="weg", value=1), Deleted(column="titel", value="t3")]),
    key=KEYS,
    cursor=CURSORS,
    low=st.none() | st.integers(-3, ROWS),
    high=st.none() | st.integers(-3, ROWS + 3),
    limit=st.integers(1, 40),
    at=st.none() | st.integers(0, ROWS - 1),
)  # fmt: skip
def test_every_way_of_reading_gives_the_same_rows(
    both: Both, table: Any, where: Any, deleted: Any, key: Any, cursor: str,
    low: Any, high: Any, limit: int, at: Any,
) -> None:  # fmt: skip
    selection = Selection(
        table, ("login", "titel", *NAMES), key, where, deleted, cursor=cursor
    )
    span = (low, high) if key == ("nr",) else (None, None)
    row = {"nr": at, "part": "ab"[(at or 0) % 2], "login": f"u{at}"}
    after = None if at is None else tuple(row[name] for name in key)
    ways(both, walked(PagePlan(selection, limit, after=after, span=span)))
    since = {"stand": "2024-01-04 10:00:00", "zahl": "3.25", "tag": "2024-02-03"}[
        cursor
    ]
    ways(both, walked(PagePlan(selection, limit, poll=True, cursor_from=since)))
    ways(both, walked(PagePlan(selection, limit, poll=True)))
    ways(both, lambda s: s.newest(selection))
    ways(both, lambda s: s.bounds(selection))
    ways(both, lambda s: s.duplicated(selection))
    asked = [tuple(("ab"[n % 2] if name == "part" else f"u{n}" if name == "login" else n)
                   for name in key) for n in range(0, ROWS + 4, 3)]  # fmt: skip
    ways(both, lambda s: sorted(map(repr, s.fetch(selection, asked))))
    column = table.column("login")
    ways(both, lambda s: sorted(map(repr, s.find(selection, column, ["u1", "u2"]))))


RENAMED = ("id", "mail", "state", "moved")


@pytest.mark.parametrize("name", RENAMED)
@pytest.mark.parametrize("plan", [{}, {"poll": True}], ids=["scan", "poll"])
def test_a_column_that_is_gone_is_never_read_as_its_own_name(
    tmp_path: Path, name: str, plan: dict[str, Any]
) -> None:
    """SQLite takes a quoted name that no column has for a text."""
    both = Both(tmp_path / "hr.db")
    both.execute(
        "create table t(id integer primary key, mail text, state text, moved integer)",
        rows=[
            ("insert into t values(?,?,'on',?)", [(n, f"m{n}@x", n) for n in (1, 2)])
        ],
    )
    ways = []
    for one in (both.plain, both.whole):
        selection = Selection(
            table=one.describe(["t"])["t"],
            fields=("id", "mail"),
            key=("id",),
            where=(Condition(column="state", op="=", value="on"),),
            cursor="moved",
        )
        assert [
            len(page.rows) for page in one.pages(PagePlan(selection, limit=5, **plan))
        ] == [2]
        ways.append((one, selection))
    both.execute(f"alter table t rename column {name} to gone")
    gone = re.escape("sql.schema-changed")
    for one, selection in ways:
        if name != "moved" or plan:  # a scan does not look at the cursor
            with pytest.raises(ConfigurationError, match=gone):
                list(one.pages(PagePlan(selection, limit=5, **plan)))
        if name != "moved":
            with pytest.raises(ConfigurationError, match=gone):
                list(one.fetch(selection, [(1,)]))
    both.close()


def test_text_in_no_encoding_becomes_a_marker_either_way(both: Both) -> None:
    both.execute(
        "create table torn(nr integer primary key, login text)",
        "insert into torn values (1, 'a'), (2, cast(x'ff41' as text)), (3, 'c')",
    )
    found = both.described("torn")[0]
    selection = Selection(found, ("login",), ("nr",))
    pages = [list(s.pages(PagePlan(selection, 9))) for s in (both.plain, both.whole)]
    assert pages[0][0].marked
    assert pages[1][0].marked
    assert [repr(row) for row in pages[0][0].rows] == [
        repr(row) for row in pages[1][0].rows
    ]


@pytest.mark.parametrize("path", ["x.db", "/tmp/x y.db", "a/b:c.db", "Ü.db"])
def test_the_plainest_url_has_the_parts_that_sqlalchemy_finds(path: str) -> None:
    found, known = _url.parsed(f"sqlite:///{path}"), sa.make_url(f"sqlite:///{path}")
    for part in ("drivername", "username", "password", "host", "port", "database"):
        assert getattr(found, part) == getattr(known, part)
    assert not found.query
    assert not known.query


@given(st.text(st.sampled_from("ab/.:@?#%[]\\&=;() ü"), max_size=12))
def test_no_url_is_plain_that_sqlalchemy_reads_differently(text: str) -> None:
    url = f"sqlite:///{text}"
    path = _url.plain_file(url)
    if path is not None:
        assert sa.make_url(url) == sa.make_url("sqlite://").set(database=path)


def test_who_writes_or_asks_for_the_generic_way_gets_sqlalchemy(both: Both) -> None:
    both.execute("create table told(x)")
    generic = SqlConfig(url=both.config.url, dialect_mode="generic")
    encoded = SqlConfig(url=both.config.url, text_encoding="latin-1")
    for config, read_only in ((both.config, False), (generic, True), (encoded, True)):
        with closing(open_database(config, net(()), read_only=read_only)) as database:
            assert isinstance(database, Session)
    with closing(open_database(both.config, net(()), read_only=True)) as database:
        assert isinstance(database, PlainSession)
        assert "told" in {found.table.name for found in database.overview()}


CODE = """
import sys
from moatbridge.testing import net
from moatbridge.adapter import Partition
from moatbridge_sql import SqlAdapter, SqlConfig, SqlStreamConfig
stream = SqlStreamConfig(table="rows", fields=("nr", "login"), key=("nr",), cursor_column="stand")
adapter = SqlAdapter(SqlConfig(url=sys.argv[1]), {"people": stream})
adapter.net = net(())
adapter.open()
adapter.probe(), adapter.streams()
seen = sum(len(batch.changes) for batch in adapter.scan("people", Partition(), None))
position = list(adapter.changes("people", None))[-1].cursor
list(adapter.changes("people", position))
adapter.close()
print(seen, "sqlalchemy" in sys.modules, "asyncio" in sys.modules)
"""


def test_a_file_is_read_and_followed_without_loading_sqlalchemy(
    both: Both, table: Any
) -> None:
    del table
    ran = subprocess.run(
        [sys.executable, "-c", CODE, both.config.url],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.stdout.split()[:2] == [str(ROWS), "False"], ran.stderr
