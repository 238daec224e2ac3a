"""Dialling PostgreSQL: every parameter is ours, and the core can end the handshake.

Sources: libpq "Connection Control Functions" (``PQconnectStart``, environment
variables, ``hostaddr``, ``sslrootcert``); PostgreSQL manual 20.11 (client settings).
"""

from __future__ import annotations

import os
import select
import ssl
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo
from psycopg.types.array import ListBinaryDumper

from moatbridge.errors import ConfigurationError
from moatbridge_sql import _url
from moatbridge_sql._faults import Fault, FaultError
from moatbridge_sql.engine import _packing

if TYPE_CHECKING:
    from moatbridge.adapter import Net
    from moatbridge_sql._config import SqlConfig

_SERVICE_VARIABLES: Final = ("PGSERVICE", "PGSERVICEFILE")


def connect(config: SqlConfig, net: Net, *, read_only: bool) -> psycopg.Connection[Any]:
    """A connection in autocommit.

    Raises:
        ConfigurationError: The environment or a TLS setting is in the way.
        FaultError: What the server answered, or that it did not.
    """
    _refuse_services()
    parameters = _parameters(config, net, read_only=read_only)
    secret = config.password.get_secret_value() if config.password else None
    server = _dialled(make_conninfo(password=secret, **parameters), net)
    server.nonblocking = 1
    connection: psycopg.Connection[Any] = psycopg.Connection(server)
    connection.autocommit = True
    connection.prepare_threshold = None
    connection.adapters.register_dumper(list, ListBinaryDumper)  # half the cost of text
    _packing.register(connection)
    return connection


def _dialled(conninfo: str, net: Net) -> pq.abc.PGconn:
    """``PQconnectPoll`` by hand, so that the core's deadline knows the socket."""
    server = pq.PGconn.connect_start(conninfo.encode())
    watched = None
    status = pq.PollingStatus.WRITING
    while server.status != pq.ConnStatus.BAD:
        if server.socket != watched:
            watched = server.socket
            net.watch(watched)
        if not _ready(watched, status, net.remaining()):
            server.finish()
            raise FaultError(Fault("unreachable", "timeout", lost=True))
        status = pq.PollingStatus(server.connect_poll())
        if status == pq.PollingStatus.OK:
            return server
        if status == pq.PollingStatus.FAILED:
            break
    fault = _fault(server.get_error_message())
    server.finish()
    raise FaultError(fault)


def _ready(fileno: int, status: pq.PollingStatus, seconds: float) -> bool:
    poll = select.poll()
    reading = status == pq.PollingStatus.READING
    poll.register(fileno, select.POLLIN if reading else select.POLLOUT)
    return bool(poll.poll(seconds * 1000))


def _refuse_services() -> None:
    found = [name for name in _SERVICE_VARIABLES if os.environ.get(name)]
    if found:
        raise ConfigurationError(
            f"The environment sets {found[0]}, which would change how PostgreSQL is "
            "reached; unset it.",
            code="sql.environment",
        )


def _parameters(config: SqlConfig, net: Net, *, read_only: bool) -> dict[str, Any]:
    given: dict[str, Any] = {
        **_from_environment(),
        "dbname": _url.database_name(config.url),
        "user": _url.user_name(config.url),
        "passfile": f"{os.devnull}/none",  # not there: nothing is read, no warning
        "application_name": "moatbridge",
        "client_encoding": "UTF8",
        "gssencmode": "disable",
        "options": _startup_options(config, read_only=read_only),
        "target_session_attrs": "any",
        **_tls(config, net),
    }
    endpoint = _url.address(config.url)
    if endpoint is None:
        given["host"] = _url.socket_path(config.url)
        return given
    name = net.tls.server_name or endpoint[0]
    checked = net.resolve(*endpoint, why="config")
    return {**given, "host": name, "hostaddr": checked.host, "port": checked.port}


def _from_environment() -> dict[str, Any]:
    """Neutral values for every parameter that an environment variable would set."""
    return {
        option.keyword.decode(): (option.compiled or b"").decode()
        for option in pq.Conninfo.get_defaults()
        if option.envvar and os.environ.get(option.envvar.decode())
    }


def _startup_options(config: SqlConfig, *, read_only: bool) -> str:
    """Session settings of the first packet: no round trip (manual, 20.11)."""
    settings = {
        "statement_timeout": int(config.statement_timeout * 1000),
        "lock_timeout": int(config.lock_timeout * 1000),
        "idle_in_transaction_session_timeout": int(config.transaction_limit * 1000),
        "default_transaction_read_only": "on" if read_only else "off",
        "intervalstyle": "iso_8601",
        "datestyle": "ISO",
    }
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


def _tls(config: SqlConfig, net: Net) -> dict[str, Any]:
    if config.insecure_cleartext or _url.socket_path(config.url):
        return {"sslmode": "disable"}
    tls = net.tls
    if tls.pin or tls.pin_only:
        raise ConfigurationError(
            "libpq cannot check tls.pin; use tls.ca_file for PostgreSQL.",
            code="net.tls.pin",
        )
    own = {"sslcert": tls.client_cert, "sslkey": tls.client_key or tls.client_cert}
    store = ssl.get_default_verify_paths()
    return {
        "sslmode": "verify-full",
        "sslrootcert": tls.ca_file or store.cafile or "system",
        "sslcertmode": "allow" if tls.client_cert else "disable",
        "ssl_min_protocol_version": f"TLSv{tls.min}",
        **(own if tls.client_cert else {}),
    }


_TRANSIENT: Final = (
    "the database system is", "terminating connection", "too many", "recovery",
    "remaining connection slots", "no more connections", "cannot connect", "crash",
    "out of memory", "no space left", "could not fork", "refused", "timeout",
    "timed out", "unreachable", "closed", "reset",
)  # fmt: skip
_HUNG_UP: Final = (
    "unexpected eof", "eof detected", "closed the connection", "connection reset",
)  # fmt: skip
_REFUSALS: Final = (
    ("password authentication failed", "28P01"),
    ("pg_hba.conf", "pg_hba"),
    ('database "', "3D000"),
    ('role "', "28P01"),
)
_NO_TLS: Final = "does not support ssl"
_TLS_WORDS: Final = ("certificate", "ssl", "tls", "host name")


def _fault(text: str) -> Fault:
    """What a failed connection means.

    libpq gives no SQLSTATE here, only text, and that may be translated. A refusal we
    do not recognise counts as one of the account's: retrying it could lock it.
    """
    text = text.casefold()
    answered = "fatal:" in text
    hung_up = any(word in text for word in _HUNG_UP)  # in the midst of a handshake, too
    if not answered and not hung_up and any(word in text for word in _TLS_WORDS):
        return Fault("tls", "no-tls" if _NO_TLS in text else "connect")
    if "unsupported startup parameter" in text:
        return Fault("statement", "08P01")
    if answered and not any(word in text for word in _TRANSIENT):
        known = (state for words, state in _REFUSALS if words in text)
        return Fault("auth", next(known, "28000"))
    return Fault("unreachable", "connect", lost=True)
