"""Dialling MariaDB and MySQL: verified TLS, no option files, no local files.

Sources: PyMySQL ``Connection``; MariaDB "Data-in-Transit Encryption".
"""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any

import pymysql
from pymysql.constants import CLIENT

from moatbridge_sql import _url
from moatbridge_sql._faults import Fault, FaultError, by_mysql_number

if TYPE_CHECKING:
    from moatbridge.adapter import Net
    from moatbridge_sql._config import SqlConfig


def connect(config: SqlConfig, net: Net) -> Any:
    """A connection in autocommit over a socket of the core's.

    Raises:
        ConfigurationError: ``net.tls.pin``.
        FaultError: What the server answered, or that it did not.
    """
    endpoint = _url.address(config.url)
    clear = config.insecure_cleartext or _url.socket_path(config.url) is not None
    host = net.tls.server_name or (endpoint[0] if endpoint else None)
    connection = pymysql.connect(
        host=host,
        port=endpoint[1] if endpoint else 0,
        user=_url.user_name(config.url),
        password=config.password.get_secret_value() if config.password else "",
        database=_url.database_name(config.url) or None,
        unix_socket=_url.socket_path(config.url),
        charset="utf8mb4",
        client_flag=CLIENT.FOUND_ROWS,
        local_infile=False,
        read_default_file=None,
        ssl=None if clear else net.tls_context(),
        ssl_disabled=clear,
        connect_timeout=max(1, int(net.remaining())),
        autocommit=True,
        defer_connect=True,
    )
    if not clear:
        connection.ctx = _Pinned(connection.ctx, net)
    sock = None if endpoint is None else _dialled(endpoint, net)
    fault: Fault | None = None
    try:
        connection.connect(sock)
    except pymysql.err.Error as error:
        fault = _fault(error)
    except (OSError, ValueError, LookupError, TypeError):
        fault = Fault("unreachable", "protocol", lost=True)
    if fault is not None:
        if sock is not None:
            sock.close()
        raise FaultError(fault)
    if endpoint is None:
        net.watch(connection._sock)  # noqa: SLF001 - PyMySQL has no public name for it
    return connection


def _dialled(endpoint: tuple[str, int], net: Net) -> socket.socket:
    sock = net.connect(*endpoint, why="config")
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class _Pinned:
    """The TLS context as PyMySQL uses it: pins are checked before the password goes."""

    def __init__(self, context: ssl.SSLContext, net: Net) -> None:
        self._context = context
        self._net = net

    def wrap_socket(self, sock: socket.socket, server_hostname: str) -> ssl.SSLSocket:
        wrapped = self._context.wrap_socket(sock, server_hostname=server_hostname)
        self._net.tls_check(wrapped, server_hostname)
        return wrapped


def _fault(error: Any) -> Fault:
    if isinstance(getattr(error, "original_exception", None), ssl.SSLError):
        return Fault("tls", "handshake")
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    kind = by_mysql_number(number)
    if kind == "unmapped":
        kind = "unreachable"
    return Fault(kind, str(number), lost=True)
