"""A newcomer's mistakes with a real PostgreSQL server: each is told so that it can be mended."""

from __future__ import annotations

import time

import pytest

from cli.conftest import World
from cli.test_first_hour import without  # noqa: F401 - a fixture
from servers.postgres import ROLES, postgres  # noqa: F401 - a fixture

CONFIG = """
[systems.hr]
adapter = "sql"
url = "{url}"
password = "file:password"
allow_networks = ["127.0.0.0/8"]
{tls}

[streams."hr/people"]
table = "people"
fields = ["id", "login"]
"""
PEOPLE = """
create table people(id int primary key, login text not null unique);
insert into people values (1, 'ada');
grant select on people to reader;
"""


@pytest.fixture(scope="module")
def server(postgres):  # noqa: F811
    postgres.create_database("hr", PEOPLE)
    return postgres


@pytest.fixture
def told(server, site, capsys):
    """What `check` says of a configuration with these differences."""
    bare = World.__new__(World)
    bare.folder, bare.capsys = site, capsys

    def check(change=("", ""), *, password=ROLES["reader"], tls=None):
        (site / "password").write_text(password)
        (site / "password").chmod(0o600)
        url = server.url("reader", "hr").replace("127.0.0.1", "localhost")
        trust = f'tls = {{ ca_file = "{server.ca_file}" }}' if tls is None else tls
        text = CONFIG.format(url=url.replace(*change), tls=trust)
        (site / "moatbridge.toml").write_text(text)
        return bare.cli("check")

    return check


def test_a_database_is_reached_and_read(told):
    ran = told()
    assert ran.code == 0, ran
    assert "reads     people: 1 record in the first batch" in ran.out


@pytest.mark.parametrize(
    ("wrong", "code", "words"),
    [
        ({"password": "not-the-password"}, "sql.auth", "the password is wrong; check the account in url and password"),
        ({"change": ("reader", "nobody")}, "sql.auth", "knows no such account, or the password is wrong"),
        ({"change": ("/hr", "/payroll")}, "sql.auth", "has no database of that name; check the word after the last / in url"),
        ({"change": ("localhost", "nowhere.invalid")}, "net.dns", "check the name and the resolver"),
        ({"change": ("localhost", "db.corp.example")}, "net.dns", "db.corp.example is a placeholder: put the real address in its place"),
        ({"tls": ""}, "net.tls.server", "check tls.ca_file, the host name in url"),
    ],
)  # fmt: skip
def test_what_is_wrong_and_what_to_do_is_told(told, wrong, code, words):
    ran = told(**wrong)
    assert ran.code == 1
    assert f"PROBLEM   {code}: " in ran.out, ran.out
    assert words in ran.out
    assert ran.out.splitlines()[-1].startswith("Next: ")
    for secret in (*ROLES.values(), "not-the-password", "payroll", "nobody"):
        assert secret not in ran.out + ran.err


def test_a_port_where_nobody_listens_is_told(told, server):
    ran = told((f":{server.port}", ":1"))
    assert "check the host and port in url, and that it is up" in ran.out


def test_a_server_without_tls_is_told_and_how_to_do_without(told, server):
    with server.connect() as owner:
        owner.execute("alter system set ssl = off")
        owner.execute("select pg_reload_conf()")
    try:
        until = time.monotonic() + 60
        while "PROBLEM" not in (ran := told()).out:  # reading its settings takes time
            assert time.monotonic() < until
        assert (
            "offers no TLS; turn it on there, or set insecure_cleartext = true"
            in ran.out
        )
    finally:
        with server.connect() as owner:
            owner.execute("alter system reset ssl")
            owner.execute("select pg_reload_conf()")


@pytest.mark.parametrize(
    ("lacking", "config", "words"),
    [
        ("psycopg", '[systems.hr]\nadapter = "sql"\nurl = "postgresql+psycopg://u@localhost/hr"\n', "pip install"),
        ("psycopg", '[ledger]\nurl = "postgresql+psycopg://u@localhost/bridge"\n', "pip install 'moatbridge[postgresql]'"),
    ],
)  # fmt: skip
def test_a_driver_that_is_missing_is_told_with_what_to_type(
    without,  # noqa: F811
    site,
    lacking,
    config,
    words,
):
    (site / "moatbridge.toml").write_text(config)
    ran = without((lacking,), "check")
    assert ran.returncode in {1, 2}
    assert words in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    assert "cli.bug" not in ran.stdout + ran.stderr
