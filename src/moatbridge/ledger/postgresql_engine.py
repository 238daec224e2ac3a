"""Connections of a ledger in PostgreSQL: address, session, faults (delivery 8).

The driver is never imported here: SQLAlchemy loads it, and what is needed of it is
reached through the dialect or the error at hand.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError

from moatbridge.errors import ConfigurationError, MoatbridgeError
from moatbridge.ledger.store import ValueRefused, unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import URL
    from sqlalchemy.engine import Engine

    from moatbridge.adapter import Secret
    from moatbridge.ledger.transactions import Transaction

SCHEME: Final = "postgresql+psycopg://"
LOCK: Final = 10.0
"""Seconds that a transaction waits for a lock."""
TURN: Final = 60.0
"""Seconds that a thread waits for others of its process to write; it holds nothing."""
STATEMENT: Final = 60.0
KEPT: Final = 5
"""Connections that a process keeps while it does nothing."""
IDLE: Final = 5.0
"""Seconds after which the server ends the transaction of a process that froze in it.
Shorter than `LOCK`, so that one frozen process does not make the others fail."""
OPTIONS: Final = frozenset(
    {"host", "sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs"}
)
"""Options a URL may carry; drivers take passwords and files to load from others."""

_OLDEST: Final = 130_000
_ADVICE: Final = "Check the database server and the way to it"
_SESSION: Final = (
    f"SET lock_timeout={LOCK * 1000:.0f}; "
    f"SET statement_timeout={STATEMENT * 1000:.0f}; "
    f"SET idle_in_transaction_session_timeout={IDLE * 1000:.0f}; "
    "SET standard_conforming_strings=on; "
    "SELECT set_config('synchronous_commit', 'on', false) "
    "WHERE current_setting('synchronous_commit')='off'"
)
_CONNECT: Final = {
    "application_name": "moatbridge",
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "client_encoding": "utf8",
}
_FROZEN: Final = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE datname=current_database() AND usename=current_user "
    f"AND application_name='{_CONNECT['application_name']}' AND state<>'idle' "
    "AND wait_event='ClientRead' AND xact_start IS NOT NULL "
    "AND state_change<clock_timestamp()-make_interval(secs => %s)"
)
"""Back ends that wait for the rest of a pipeline: to the server they are not idle."""
_PERSON: Final = {
    "28": ("ledger.auth", "the server refuses the account or its password"),
    "3D": ("ledger.url", "the server has no database of that name"),
    "42501": ("ledger.rights", "the account may not do this in the ledger's schema"),
}
"""SQLSTATEs, or their classes, that only a person can mend."""


def create(url: str, password: Secret | None) -> Engine:
    """The engine of a ledger; nothing is dialled yet.

    Raises:
        ConfigurationError: ``ledger.url`` or ``ledger.driver``.
    """
    address = parsed(url)
    try:
        engine = sqlalchemy.create_engine(
            address,
            hide_parameters=True,
            isolation_level="AUTOCOMMIT",  # transactions are begun by hand, see Mode
            pool_size=KEPT,
            max_overflow=32,
            connect_args={**_CONNECT, **_tls(address)},
        )
    except ImportError:
        raise ConfigurationError(
            "A ledger on PostgreSQL needs its driver: "
            "pip install 'moatbridge[postgresql]'.",
            code="ledger.driver",
        ) from None

    plain_types = _plain_types(engine.dialect.loaded_dbapi)

    def give_password(_dialect: Any, _record: Any, _args: Any, settings: Any) -> None:
        if password is not None:
            settings["password"] = password.get_secret_value()

    def configure(raw: Any, _record: Any) -> None:
        if raw.info.server_version < _OLDEST:
            raise ConfigurationError(
                "The ledger needs PostgreSQL 13 or newer.",
                code="ledger.postgresql-version",
            )
        raw.execute(_SESSION)
        plain_types(raw)

    event.listen(engine, "do_connect", give_password)
    event.listen(engine, "connect", configure)
    return engine


def parsed(url: str) -> URL:
    """The parts of a ledger's URL.

    Raises:
        ConfigurationError: ``ledger.url``; the message holds nothing of the URL.
    """
    try:
        address = sqlalchemy.make_url(url)
    except (ArgumentError, ValueError):
        address = None  # its message quotes parts of the URL
    if address is None or not address.database:
        raise _bad("must be postgresql+psycopg://USER@HOST:PORT/DATABASE")
    if address.password is not None or ":" in (address.username or ""):
        raise _bad("holds a password; use ledger.password = 'env:NAME' instead")
    if set(address.query) - OPTIONS:
        raise _bad(f"options allowed here: {', '.join(sorted(OPTIONS))}")
    return address


def _bad(why: str) -> ConfigurationError:
    return ConfigurationError(f"ledger.url: {why}.", code="ledger.url")


def local(address: URL) -> bool:
    """Whether the server is on this host: a socket, or a loopback address."""
    host = address.query.get("host") or address.host or ""
    return not host or str(host).startswith(("/", "127.", "::1", "localhost"))


def _tls(address: URL) -> dict[str, Any]:
    """What a URL that says nothing of TLS means: encrypted, and the name checked."""
    if local(address) or "sslmode" in address.query:
        return {}
    if "sslrootcert" in address.query:
        return {"sslmode": "verify-full"}
    return {"sslmode": "verify-full", "sslrootcert": "system"}


def _plain_types(dbapi: Any) -> Callable[[Any], None]:
    """The same Python types as from SQLite: whole numbers for sums and truth values.

    All whole numbers are sent as one type, so that a statement is prepared once.
    """
    numeric = dbapi.types.numeric

    class Truth(numeric.Int8Dumper):  # type: ignore[misc, name-defined]
        def dump(self, obj: bool) -> bytes:
            return b"1" if obj else b"0"

    class Number(dbapi.adapt.Loader):  # type: ignore[misc]
        def load(self, data: Any) -> int:
            return int(bytes(data))

    class Yes(dbapi.adapt.Loader):  # type: ignore[misc]
        def load(self, data: Any) -> int:
            return int(bytes(data) == b"t")

    def register(raw: Any) -> None:
        raw.adapters.register_dumper(int, numeric.Int8Dumper)
        raw.adapters.register_dumper(bool, Truth)
        raw.adapters.register_loader("numeric", Number)
        raw.adapters.register_loader("bool", Yes)

    return register


def locked(error: BaseException) -> bool:
    """Whether somebody else held a lock for longer than `LOCK`."""
    return getattr(error, "sqlstate", None) == "55P03"


def end_frozen(engine: Engine) -> int:
    """End transactions of our own whose process froze in the midst of a pipeline.

    The server ends a transaction that is idle. To PostgreSQL 15 one that waits for the
    rest of a pipeline is active, however long, and after a flush its time does not run.

    Args:
        engine: Of the ledger.

    Returns:
        How many were ended.
    """
    with engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        return int(raw.execute(_FROZEN, (IDLE,)).fetchone()[0])


def lost(raw: Any) -> bool:
    """Whether the connection is gone, so that nothing is known of what it last did."""
    return bool(raw.closed)


def cut(raw: Any) -> None:
    """End a connection from another thread: whoever waits on it sees it closed."""
    with suppress(Exception):
        wire = socket.socket(fileno=os.dup(raw.fileno()))
        try:
            wire.shutdown(socket.SHUT_RDWR)
        finally:
            wire.close()


def failure(error: BaseException, doing: str) -> Exception:
    """Our error for one of the driver's; it holds nothing of its text.

    What a person must mend is a `ConfigurationError`. Two rows that exclude each other
    are an impossible state, and so is a value that no database can hold: sent again, it
    is refused again. Everything else took no effect.
    """
    cause: Any = getattr(error, "orig", None) or error
    if isinstance(cause, MoatbridgeError):
        return cause
    state = getattr(cause, "sqlstate", None) or ""
    name = type(cause).__name__
    if state.startswith("23"):
        constraint = getattr(cause.diag, "constraint_name", None)
        return AssertionError(f"ledger constraint: {name} {constraint}")
    if state.startswith("22") or name == "DataError":  # the driver's own has no state
        return ValueRefused(f"ledger value: {name} {state}".strip())
    code, why = _PERSON.get(state) or _PERSON.get(state[:2]) or ("", "")
    if not state and "password authentication failed" in str(cause):
        code, why = _PERSON["28"]
    if not state and "does not exist" in str(cause) and "database" in str(cause):
        code, why = _PERSON["3D"]
    if code:
        return ConfigurationError(f"The ledger cannot be used: {why}.", code=code)
    why = f"{name} {state}".strip()
    if isinstance(error, DBAPIError) and not state:
        why = "no connection"
    return unavailable(doing, why, _ADVICE)


def problems(tx: Transaction, address: URL) -> tuple[list[tuple[str, str]], list[str]]:
    """Settings with which a commit is no commit; and ways that are not safe."""
    found, warnings = [], []
    if tx.value("SHOW fsync") == "off":
        found.append(
            (
                "ledger.fsync",
                (
                    "The ledger's server runs with fsync=off: a power failure damages "
                    "it. Set fsync=on in postgresql.conf and restart the server."
                ),
            )
        )
    off = tx.value(
        "SELECT 1 FROM pg_settings WHERE name='synchronous_commit' AND reset_val='off'"
    )
    if off:
        found.append(
            (
                "ledger.synchronous-commit",
                (
                    "synchronous_commit is off for the ledger's account: commits that "
                    "were promised may be lost. Set it to on (ALTER ROLE or DATABASE)."
                ),
            )
        )
    if tx.value("SHOW full_page_writes") == "off":
        warnings.append(
            "The ledger's server runs with full_page_writes=off: safe only on a file "
            "system that never tears a page."
        )
    mode = address.query.get("sslmode")
    if not local(address) and mode not in {None, "verify-full"}:
        warnings.append(
            f"ledger.url says sslmode={mode}: whoever sits between can read or change "
            "what is in the ledger; use verify-full."
        )
    return found, warnings
