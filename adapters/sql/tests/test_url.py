"""A URL holds no password, in whatever form a driver or a parser would take one."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from moatbridge_sql import SqlAdapter, SqlConfig

SECRET = "hunter2"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://mb:hunter2@h/d",
        "postgresql://mb:hunter2/x@h/d",
        "postgresql://mb:hunter2?x@h/d",
        "postgresql://mb:hunter2#x@h/d",
        "postgresql://mb%3Ahunter2@h/d",
        "postgresql://:hunter2@h/d",
        "postgresql://mb:hunter2",
        "postgresql://mb:hunter2/d",
        "postgresql://[::1]hunter2/d",
        "postgresql://u@h/d?password=hunter2",
        "postgresql://u@h/d?host=/run/x&password=hunter2",
        "postgresql://u@h/d?host=/run/x&host=/hunter2",
        "postgresql://u@h/d?host=hunter2",
        "postgresql://u@h/d?passfile=/hunter2",
        "postgresql://u@h/d?hunter2",
        "postgresql://u@h/d?host=/run/x\npassword=hunter2",
        "postgresql+asyncpg://u@h/d?password=hunter2",
        "mysql+pymysql://u@h/d?passwd=hunter2",
        "mariadb+pymysql://u@h/d?unix_socket=/run/x&password=hunter2",
        "MYSQL://u@h/d?password=hunter2",
        "sqlite://u:hunter2@/x.db",
        "sqlite:///x.db?key=hunter2",
        "oracle+oracledb://u@h/?service_name=x&password=hunter2",
        "oracle+oracledb://u@h/?service_name=x%3Bpassword%3Dhunter2",
        "oracle+oracledb://u@h/?wallet_password=hunter2",
        "oracle+oracledb://u@(DESCRIPTION=hunter2)/x",
        "mssql+pyodbc://u@h/d?driver=x&PWD=hunter2",
        "mssql+pyodbc://u@h/d?driver=x&pwd=hunter2",
        "mssql+pyodbc://u@h/d?driver=x};PWD={hunter2",
        "mssql+pyodbc://u@h/d;PWD=hunter2",
        "mssql+pyodbc://u@dsn;PWD=hunter2",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3Dhunter2",
        "unknown+driver://u:hunter2@h/d",
        "unknown+driver://u@h/d?token=hunter2",
    ],
)
def test_a_literal_password_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SqlConfig(url=url)
    assert SECRET not in str(caught.value)
    assert all(SECRET not in error["msg"] for error in caught.value.errors())
    reason: Any = caught.value.errors()[0]["ctx"]["error"]
    assert reason.__cause__ is None
    assert reason.__context__ is None


@pytest.mark.parametrize(
    ("url", "endpoints"),
    [
        ("postgresql+psycopg://u@DB1.corp/hr", [("db1.corp", 5432)]),
        ("postgresql://azure@tenant@db1.corp:6000/hr", [("db1.corp", 6000)]),
        ("postgresql://u@[::1]:5433/hr", [("::1", 5433)]),
        ("mariadb+pymysql://u@/hr?unix_socket=/run/my.sock", []),
        ("mssql+pyodbc://u@h/d?driver=ODBC+Driver+18+for+SQL+Server&Encrypt=strict", [("h", 1433)]),
        ("oracle+oracledb://u@h/?service_name=hr.corp.example", [("h", 1521)]),
        ("sqlite:////srv/data (1)/a=b.db", []),
    ],
)  # fmt: skip
def test_what_is_needed_is_accepted(url: str, endpoints: Any) -> None:
    assert list(SqlAdapter.endpoints(SqlConfig(url=url))) == endpoints


def test_the_url_stands_in_no_repr() -> None:
    config = SqlConfig(url="postgresql://person@db1.corp.example/hr")
    unchecked = SqlConfig.model_construct(url="postgresql://mb:hunter2@h/d")
    adapter = SqlAdapter(config, {})
    said = repr(config) + str(config) + repr(adapter) + repr(unchecked)
    assert "db1.corp" not in said
    assert SECRET not in said
    assert pickle.loads(pickle.dumps(config)) == config


PART = st.text("ab:/@?#[]%;=&{}\\ ", max_size=6)


@given(st.tuples(PART, PART, PART, PART))
def test_what_is_accepted_is_dialled_and_holds_no_password(parts: Any) -> None:
    """Whatever passes is read by SQLAlchemy exactly as we read it."""
    url = "postgresql://{}hunter2{}@{}/{}".format(*parts)
    try:
        config = SqlConfig(url=url)
    except ValidationError:
        return
    dialled = sa.make_url(url)
    assert dialled.password is None
    assert set(dialled.query) <= {"host"}
    assert [host for host, _ in SqlAdapter.endpoints(config)] in (
        [],
        [(dialled.host or "").lower()],
    )


def test_checking_the_settings_is_the_first_to_load_sqlalchemy() -> None:
    script = (
        "import moatbridge_sql, sys; print('sqlalchemy' in sys.modules);"
        "moatbridge_sql.SqlConfig(url='sqlite:///x.db');"
        "print([m for m in ('psycopg', 'pymysql', 'sqlite3') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "[]"]
