"""Opening, rights, TLS, and what must never be seen."""

from __future__ import annotations

import io
import logging
import pickle
import subprocess
import traceback
from typing import Any

import pytest
from pydantic import ValidationError

from moatbridge.adapter import TlsSettings
from moatbridge.errors import ConfigurationError, MoatbridgeError, NotApplied
from moatbridge.testing import net
from moatbridge.testing.stage import intent
from moatbridge_sql import SqlAdapter, SqlConfig, SqlStreamConfig

CANARY = "canary7f3a91"


def table_of(db: Any) -> str:
    table = db.name("s")
    db.sql(
        f"create table {table}(nr integer primary key, name varchar(30) not null unique, check (name <> 'bad'))"
    )
    return table


def test_a_superuser_is_refused_unless_allowed(pg: Any) -> None:
    from servers.postgres import OWNER, OWNER_PASSWORD

    table = table_of(pg)
    more: dict[str, Any] = {"url": pg.url(OWNER, None), "secret": OWNER_PASSWORD}
    with pytest.raises(ConfigurationError, match=r"sql\.privileged.*SUPERUSER"):
        pg.open(table, ["nr"], **more)
    probe = pg.open(table, ["nr"], allow_privileged=True, **more).probe()
    assert "the account holds SUPERUSER" in probe.warnings
    assert probe.account == OWNER


def test_grants_on_everything_are_refused_on_mariadb(my: Any) -> None:
    my.sql("create or replace user boss@'%' identified by 'boss-secret'")
    my.sql("grant all on *.* to boss@'%' with grant option")
    table = table_of(my)
    with pytest.raises(
        ConfigurationError, match=r"sql\.privileged.*ALL PRIVILEGES.*GRANT OPTION"
    ):
        my.open(table, ["nr"], url=my.url("boss", None), secret="boss-secret")


def test_probe_tells_who_we_are_and_that_the_account_may_write(refined: Any) -> None:
    table = table_of(refined)
    probe = refined.open(table, ["nr"]).probe()
    assert "people: this account may write." in probe.warnings
    if refined.roles:
        assert "writer" in (probe.account or "")
        quiet = refined.open(table, ["nr"], role="reader").probe()
        assert not [text for text in quiet.warnings if "may write" in text]
    product = {
        "postgresql": "PostgreSQL 15",
        "mariadb": "MariaDB 10.11",
        "sqlite": "SQLite 3",
    }[refined.kind]
    assert probe.product.startswith(product)


def test_identity_is_the_servers_not_the_address(pg: Any, my: Any) -> None:
    pg_probe, my_probe = pg.open().probe(), my.open().probe()
    assert pg_probe.server.startswith("postgresql:7")
    assert str(pg.server.port) not in pg_probe.server
    assert my_probe.server.startswith("mariadb:")


def test_a_reading_session_cannot_write(refined: Any) -> None:
    """The server itself refuses, or the file is opened read-only."""
    table = table_of(refined)
    database = refined.open(table, ["nr"])._database
    run = (
        database._raw.execute
        if refined.kind == "sqlite"
        else database._connection.exec_driver_sql
    )
    with pytest.raises(Exception, match=r"(?i)read.?only"):
        run(f"insert into {table} values (1, 'x')")


def test_session_settings_of_writers(pg: Any, my: Any, lite: Any) -> None:
    def ask(db: Any, *statements: str) -> list[Any]:
        connection = db.open(
            table_of(db), ["nr"], writable=["nr"]
        )._database._connection
        return [connection.exec_driver_sql(text).scalar() for text in statements]

    assert ask(
        pg,
        "show statement_timeout",
        "show lock_timeout",
        "show idle_in_transaction_session_timeout",
        "show timezone",
        "show client_encoding",
        "show application_name",
    ) == ["30s", "5s", "1min", "UTC", "UTF8", "moatbridge"]
    mode, limit, lock, zone, charset = ask(
        my,
        "select @@sql_mode",
        "select @@max_statement_time",
        "select @@innodb_lock_wait_timeout",
        "select @@time_zone",
        "select @@character_set_client",
    )
    assert "STRICT_ALL_TABLES" in mode
    assert (float(limit), lock, zone, charset) == (30.0, 5, "+00:00", "utf8mb4")
    assert ask(
        lite, "pragma foreign_keys", "pragma trusted_schema", "pragma busy_timeout"
    ) == [1, 0, 5000]


def test_mariadb_gets_no_local_file(my: Any) -> None:
    adapter = my.open()
    raw = adapter._database._raw
    assert raw._local_infile is False
    assert not raw.client_flag & 128  # CLIENT.LOCAL_FILES


@pytest.mark.parametrize(
    "name",
    [
        "PGOPTIONS",
        "PGSSLMODE",
        "PGUSER",
        "PGTZ",
        "PGHOSTADDR",
        "PGPASSFILE",
        "PGSSLROOTCERT",
        "PGAPPNAME",
    ],
)
def test_the_environment_changes_nothing(
    pg: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    values = {
        "PGOPTIONS": "-c statement_timeout=1",
        "PGSSLMODE": "disable",
        "PGUSER": "nobody",
        "PGTZ": "Asia/Tokyo",
        "PGHOSTADDR": "127.0.0.9",
        "PGPASSFILE": "/nonexistent",
        "PGSSLROOTCERT": "/nonexistent",
        "PGAPPNAME": "other",
    }
    monkeypatch.setenv(name, values[name])
    connection = pg.open()._database._connection
    row = connection.exec_driver_sql(
        "select current_user, current_setting('statement_timeout'), current_setting('application_name'), (select ssl from pg_stat_ssl where pid = pg_backend_pid())"
    ).one()
    assert tuple(row) == ("writer", "30s", "moatbridge", True)


def test_a_service_in_the_environment_is_refused(
    pg: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSERVICE", "other")
    with pytest.raises(ConfigurationError, match=r"sql\.environment"):
        pg.open()


@pytest.mark.parametrize("kind", ["pg", "my"])
def test_a_certificate_of_another_authority_is_refused(
    kind: str, request: pytest.FixtureRequest, tmp_path: Any
) -> None:
    db = request.getfixturevalue(kind)
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=other",
            "-keyout",
            tmp_path / "k",
            "-out",
            tmp_path / "c",
        ],
        check=True,
        capture_output=True,
    )
    adapter = db.make({})
    adapter.net = net(
        SqlAdapter.endpoints(adapter.config),
        tls=TlsSettings(ca_file=str(tmp_path / "c")),
    )
    with pytest.raises(ConfigurationError, match=r"net\.tls\."):
        adapter.open()


@pytest.mark.parametrize("kind", ["pg", "my"])
def test_a_certificate_for_another_name_is_refused(
    kind: str, request: pytest.FixtureRequest
) -> None:
    db = request.getfixturevalue(kind)
    adapter = db.make({})
    adapter.net = net(
        SqlAdapter.endpoints(adapter.config),
        tls=TlsSettings(ca_file=db.server.ca_file, server_name="db1.corp.example"),
    )
    with pytest.raises(ConfigurationError, match=r"net\.tls\."):
        adapter.open()


def test_a_server_without_tls_gets_no_password(pg: Any, my: Any) -> None:
    pg.sql("alter system set ssl = off")
    pg.sql("select pg_reload_conf()")
    try:
        with pytest.raises(ConfigurationError, match=r"net\.tls\."):
            _until_refused(pg)
        clear = pg.open(insecure_cleartext=True)
        assert (
            "the connection is not encrypted (insecure_cleartext)"
            in clear.probe().warnings
        )
    finally:
        pg.sql("alter system reset ssl")
        pg.sql("select pg_reload_conf()")
    assert (
        my.open(insecure_cleartext=True)
        ._database._connection.exec_driver_sql("show status like 'Ssl_cipher'")
        .one()[1]
        == ""
    )
    assert (
        my.open()
        ._database._connection.exec_driver_sql("show status like 'Ssl_cipher'")
        .one()[1]
        != ""
    )


def _until_refused(pg: Any) -> None:
    """The postmaster rereads its settings a moment after the signal."""
    for _ in range(200):
        pg.open()


@pytest.mark.parametrize("kind", ["pg", "my"])
def test_wrong_password_and_wrong_database_are_for_a_person(
    kind: str, request: pytest.FixtureRequest
) -> None:
    db = request.getfixturevalue(kind)
    with pytest.raises(ConfigurationError, match=r"sql\.auth"):
        db.open(secret="wrong-secret")
    with pytest.raises(ConfigurationError, match=r"sql\.auth"):
        db.open(url=db.url("writer", None).replace("/hr", "/nowhere"))


def test_a_pin_is_not_silently_ignored_by_libpq(pg: Any) -> None:
    adapter = pg.make({})
    adapter.net = net(
        SqlAdapter.endpoints(adapter.config),
        tls=TlsSettings(ca_file=pg.server.ca_file, pin=("cert-sha256:" + "0" * 64,)),
    )
    with pytest.raises(ConfigurationError, match=r"net\.tls\.pin"):
        adapter.open()


def test_a_wrong_pin_is_refused_before_the_password_leaves(my: Any) -> None:
    adapter = my.make({})
    adapter.net = net(
        SqlAdapter.endpoints(adapter.config),
        tls=TlsSettings(ca_file=my.server.ca_file, pin=("cert-sha256:" + "0" * 64,)),
    )
    with pytest.raises(ConfigurationError, match=r"net\.tls\.pin"):
        adapter.open()


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "postgresql+psycopg://u:secret-word@h/d"},
        {"url": "postgresql+psycopg://u@h/d?sslmode=disable"},
        {"url": "nonsense"},
        {"url": "sqlite:///x", "timezone": "Mars/Olympus"},
        {"url": "sqlite:///x", "text_encoding": "klingon"},
        {"url": "sqlite:///x", "unknown": 1},
        {"url": "postgresql://h/d", "password": "secret-word"},
    ],
)
def test_unsafe_settings_are_refused_without_repeating_them(
    settings: dict[str, Any],
) -> None:
    with pytest.raises(ValidationError) as caught:
        SqlConfig(**settings)
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize(
    "stream",
    [
        {"remove": "mark"},
        {"follow": "column"},
        {"where": [{"column": "a", "op": "in", "value": "x"}]},
        {"where": [{"column": "a", "op": "is-null", "value": "x"}]},
        {"where": [{"column": "a", "op": "like", "value": "x"}]},
        {"fields": []},
    ],
)
def test_contradicting_stream_settings_are_refused(stream: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SqlStreamConfig(**{"table": "t", "fields": ["a"], **stream})


def test_endpoints_are_what_is_dialled() -> None:
    def of(url: str) -> Any:
        return list(SqlAdapter.endpoints(SqlConfig(url=url)))

    assert of("postgresql+psycopg://u@db1.corp/hr") == [("db1.corp", 5432)]
    assert of("mariadb+pymysql://u@db1.corp:3307/hr") == [("db1.corp", 3307)]
    assert of("sqlite:////srv/x.db") == []
    assert of("postgresql+psycopg://u@/hr?host=/run/postgresql") == []


def test_a_file_that_is_no_database(lite: Any, tmp_path: Any) -> None:
    (tmp_path / "x.db").write_bytes(b"MZ" * 600)
    for name in ("x.db", "missing.db"):
        with pytest.raises(ConfigurationError, match=r"sql\.corrupt"):
            lite.open(url=f"sqlite:///{tmp_path / name}")


def test_an_unknown_driver_needs_a_word_about_tls() -> None:
    config = SqlConfig(url="mssql+pyodbc://u@h/d?driver=x")
    adapter = SqlAdapter(config, {})
    adapter.net = net(SqlAdapter.endpoints(config))
    with pytest.raises(ConfigurationError, match=r"net\.tls\.unknown-driver"):
        adapter.open()


def test_no_value_and_no_secret_is_ever_shown(db: Any) -> None:
    """Bind values, keys and the password, in errors, reprs, logs and causes."""
    table = table_of(db)
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    for name in ("sqlalchemy.engine",):  # the core holds it at WARNING
        logging.getLogger(name).setLevel(logging.WARNING)
    errors: list[BaseException] = []
    try:
        adapter = db.open(table, ["nr", "name"], writable=["nr", "name"])
        # PyMySQL calls a failed CHECK an OperationalError: only its number tells more
        checked = "bad" if (db.kind, db.mode) != ("mariadb", "generic") else CANARY
        records: list[Any] = [
            {"nr": 1, "name": CANARY},
            {"nr": 2, "name": CANARY},
            {"nr": 3, "name": checked},
            {"nr": CANARY, "name": "x"},
        ]
        receipts = adapter.write(
            "people", [intent("create", None, record) for record in records]
        )
        assert [receipt.outcome for receipt in receipts] == [
            "applied",
            "rejected",
            "rejected",
            "rejected",
        ]
        heard.write(
            repr(receipts)
            + repr(adapter)
            + repr(adapter._database)
            + repr(adapter._database._connection.engine)
        )
        db.sql(f"drop table {table}")
        for call in (
            lambda: db.scan(adapter),
            lambda: adapter.write(
                "people", [intent("create", None, {"nr": 9, "name": CANARY})]
            ),
        ):
            with pytest.raises(MoatbridgeError) as caught:
                call()
            errors.append(caught.value)
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    for error in errors:
        assert error.__cause__ is None
        assert error.__context__ is None
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
        heard.write("".join(traceback.format_exception(error)) + repr(error.__dict__))
    said = heard.getvalue()
    assert CANARY not in said.replace(f'"name": "{CANARY}"', "")
    assert "writer-secret" not in said


def test_a_closed_adapter_says_so(lite: Any) -> None:
    adapter = lite.open(table_of(lite), ["nr"])
    adapter.close()
    with pytest.raises(NotApplied, match=r"sql\.unreachable"):
        lite.scan(adapter)


def test_importing_the_package_loads_no_driver() -> None:
    import sys

    script = "import moatbridge_sql, sys; print([m for m in ('sqlalchemy', 'psycopg', 'pymysql', 'sqlite3') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_discover_proposes_tables_keys_cursor_and_mapping(refined: Any) -> None:
    table = refined.name("mitarbeiter")
    stamp = "timestamp(6)" if refined.kind != "sqlite" else "timestamp"
    refined.sql(
        f"create table {table}(pers_nr integer primary key, vorname varchar(30), nachname varchar(30), email varchar(90), abt_nr varchar(4),"
        f" geaendert {stamp} not null default current_timestamp{'(6)' if refined.kind != 'sqlite' else ''}, geloescht integer default 0)"
    )
    refined.sql(f"create index i{table} on {table}(geaendert)")
    refined.sql(f"insert into {table}(pers_nr, vorname) values (1, ?)", (CANARY,))
    found = refined.open().discover()
    mine = {i.setting: i for i in reversed(found.items) if i.stream == table}
    assert mine["key"].value == ["pers_nr"]
    assert mine["cursor_column"].value == "geaendert"
    assert mine["cursor_column"].confidence >= 0.8
    assert mine["deleted"].value["column"] == "geloescht"
    assert mine["entity"].value == "Person"
    assert mine["translator"].value == {
        "externalId": "pers_nr", "name.givenName": "vorname", "name.familyName": "nachname", "emails[type=work].value": "email", "enterprise.department": "abt_nr",
    }  # fmt: skip
    assert CANARY not in repr(found)
    stream = refined.open(table, ["pers_nr", "vorname", "nachname"]).streams()[0]
    assert stream.entity == "Person"
    assert stream.suggested["name.familyName"] == "nachname"


def test_discover_proposes_a_translator_for_a_plain_table_of_accounts(
    refined: Any,
) -> None:
    table = refined.name("account")
    refined.sql(
        f"create table {table}(id integer primary key, login varchar(40) not null, name varchar(60),"
        " email varchar(90), password_hash varchar(90), shoe_size integer)"
    )
    found = refined.open().discover()
    mine = [item for item in found.items if item.stream == table]
    first = {item.setting: item for item in reversed(mine)}
    assert (first["entity"].value, first["entity"].confidence >= 0.8) == ("Person", True)  # fmt: skip
    assert first["translator"].value == {
        "userName": "login", "displayName": "name", "emails[type=work].value": "email",
    }  # fmt: skip
    assert first["translator"].confidence >= 0.8
    assert first["fields"].value == ["id", "login", "name", "email", "shoe_size"]
    left = [item for item in mine if item.value == {"PATH": "shoe_size"}]
    assert [item.confidence for item in left] == [0.0], "a person names a path for it"
