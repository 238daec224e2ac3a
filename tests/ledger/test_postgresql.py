"""A ledger on PostgreSQL: its connections, their faults, and what opens one."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from ledger.on_postgresql import backends, number, opened, role_of, set_number
from moatbridge.adapter import Secret
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.ledger import Ledger, postgresql, postgresql_engine
from servers.ledgers import DATABASE
from servers.places import PASSWORD
from servers.postgres import OWNER, OWNER_PASSWORD, PROGRAMS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(ledger_server):
    return ledger_server.place()


# --- connections ----------------------------------------------------------------------


def test_a_back_end_that_is_ended_inside_a_transaction_leaves_nothing(
    ledger_server, place
):
    ledger = opened(place)

    def work(tx):
        set_number(tx, 9)
        assert backends(ledger_server, place)
        set_number(tx, 10)

    with pytest.raises(NotApplied) as error, ledger.write() as tx:
        work(tx)
    assert error.value.code == "ledger.unavailable"
    assert number(ledger) == "1"
    ledger.close()


def test_kept_connections_that_died_meanwhile_are_replaced_without_a_word(
    ledger_server, place
):
    ledger = opened(place)
    with ledger.read(), ledger.read(), ledger.read():
        pass
    for _ in range(3):
        assert backends(ledger_server, place)
        with ledger.write() as tx:
            set_number(tx, 10)
    ledger.close()


def test_sessions_have_limits_and_a_name(ledger_server, place):
    ledger = opened(place)
    with ledger.read() as tx:
        found = {
            name: tx.value(f"SHOW {name}")
            for name in (
                "lock_timeout",
                "statement_timeout",
                "idle_in_transaction_session_timeout",
                "synchronous_commit",
                "application_name",
            )
        }
    assert found == {
        "lock_timeout": "10s",
        "statement_timeout": "1min",
        "idle_in_transaction_session_timeout": "5s",
        "synchronous_commit": "on",
        "application_name": "moatbridge",
    }
    ledger.close()


def test_an_account_whose_commits_would_not_wait_waits_all_the_same(
    ledger_server, place
):
    role = role_of(place)
    with ledger_server.connect(DATABASE) as owner:
        owner.execute(f"ALTER ROLE {role} SET synchronous_commit=off")
    ledger = opened(place)
    with ledger.read() as tx:
        assert tx.value("SHOW synchronous_commit") == "on"
    problems, _warnings = ledger.db.problems()
    assert [code for code, _words in problems] == [
        "ledger.fsync",
        "ledger.synchronous-commit",
    ]
    ledger.close()


def test_a_server_that_never_answers_is_cut_off(ledger_server, monkeypatch):
    """A frozen server acknowledges bytes: no timeout of TCP or its own ends the call."""
    monkeypatch.setattr(postgresql, "LONGEST", 0.5)
    place = ledger_server.place()
    ledger = opened(place)
    with pytest.raises(NotApplied), ledger.write() as tx:
        tx.run("SELECT pg_sleep(30)")
    assert number(ledger) == "1"
    ledger.close()


# --- the how-to page ------------------------------------------------------------------


def test_the_how_to_page_makes_a_place_that_works_and_a_dump_that_holds_it(
    ledger_server, tmp_path
):
    page = (ROOT / "docs/how-to/ledger-on-postgresql.md").read_text()
    with ledger_server.connect(DATABASE) as owner:
        for line in re.search(r"```sql\n(.*?)```", page, re.DOTALL)[1].splitlines():
            owner.execute(line.replace("'...'", f"'{PASSWORD}'"))
    ledger = opened(ledger_server.at("moatbridge"))
    command = re.search(r"\$ pg_dump (.*) bridge\n", page)[1].split()
    subprocess.run(
        [PROGRAMS / "pg_dump", *command, f"--port={ledger_server.port}", "--host=127.0.0.1",
         f"--username={OWNER}", DATABASE],
        cwd=tmp_path, env={"PGPASSWORD": OWNER_PASSWORD}, check=True,
    )  # fmt: skip
    listed = subprocess.run(
        [PROGRAMS / "pg_restore", "--list", "ledger.dump"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "TABLE DATA moatbridge meta" in listed.stdout
    ledger.close()


# --- opening --------------------------------------------------------------------------


def test_a_wrong_password_is_for_a_person(place):
    wrong = Secret("x", SecretStr("not-the-password"))
    with pytest.raises(ConfigurationError) as error:
        Ledger(place.url, password=wrong)
    assert error.value.code == "ledger.auth"
    assert "not-the-password" not in str(error.value)


def test_a_database_that_is_not_there_is_for_a_person(place):
    with pytest.raises(ConfigurationError) as error:
        Ledger(place.url.replace(DATABASE, "nowhere"), password=place.password)
    assert error.value.code == "ledger.url"


def test_a_server_that_is_down_is_not_applied():
    with pytest.raises(NotApplied) as error:
        Ledger("postgresql+psycopg://x@127.0.0.1:1/led")
    assert error.value.code == "ledger.unavailable"


def test_an_account_without_a_schema_is_for_a_person(ledger_server, place):
    role = role_of(place)
    with ledger_server.connect(DATABASE) as owner:
        owner.execute(f"ALTER ROLE {role} SET search_path=nowhere")
    with pytest.raises(ConfigurationError) as error:
        opened(place)
    assert error.value.code == "ledger.no-schema"


def test_a_schema_of_somebody_else_is_left_alone(ledger_server, place):
    with ledger_server.look(place) as owner:
        owner.execute("CREATE TABLE link(url text)")
    with pytest.raises(ConfigurationError) as error:
        opened(place)
    assert error.value.code == "ledger.foreign-schema"
    with ledger_server.look(place) as owner:
        tables = owner.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema=current_schema()"
        ).fetchall()
    assert tables == [("link",)]


def test_a_missing_driver_names_what_to_install(tmp_path):
    script = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from moatbridge.ledger import Ledger\n"
        "try: Ledger('postgresql+psycopg://x@127.0.0.1/led')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("ConfigurationError ledger.driver")
    assert "moatbridge[postgresql]" in ran.stdout


def test_many_that_open_a_new_ledger_at_once_make_one(place):
    gate = threading.Barrier(6)

    def open_it(_):
        gate.wait(30)
        return opened(place)

    with ThreadPoolExecutor(6) as pool:
        ledgers = list(pool.map(open_it, range(6)))
    assert len({ledger.ledger_id for ledger in ledgers}) == 1
    for ledger in ledgers:
        ledger.close()


def test_a_remote_server_is_reached_with_tls_unless_the_url_says_otherwise():
    def used(query):
        address = postgresql_engine.parsed(
            f"postgresql+psycopg://u@db.example/x{query}"
        )
        return postgresql_engine._tls(address)

    assert used("") == {"sslmode": "verify-full", "sslrootcert": "system"}
    assert used("?sslrootcert=/etc/ca.pem") == {"sslmode": "verify-full"}
    assert used("?sslmode=require") == {}
