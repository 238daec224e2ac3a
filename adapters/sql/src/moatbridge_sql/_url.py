"""The connection URL: what it may hold, and its parts.

There is one parser, SQLAlchemy's own, because it decides what is dialled: a second one
that splits a URL differently would check other parts than those in use. It is loaded
at the first URL, not with this module. The plainest URL of a file, which we open
ourselves, is read without it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from sqlalchemy import URL

PORTS: Final = {
    "postgresql": 5432,
    "mysql": 3306,
    "mariadb": 3306,
    "mssql": 1433,
    "oracle": 1521,
}
SOCKET_OPTIONS: Final = {"postgresql": "host", "mysql": "unix_socket"}
OPTIONS: Final = {
    "mssql": frozenset({"driver", "Encrypt", "ApplicationIntent"}),
    "oracle": frozenset({"service_name"}),
}
"""Query options by database family, besides the socket's path; all others are refused:
drivers take passwords, whole connection strings and files to load from there."""

_VALUE: Final = re.compile(r"[\w ./-]+")
_HOST: Final = re.compile(r"[\w.:%-]*")
_NAME: Final = re.compile(r"[^:;=(){}]*")
"""User and database: without what separates settings in a driver's own strings."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_SHAPE: Final = re.compile(
    r"[\w+]+://([^/?]*@)?(\[[^]/?]+\]|[^][/?:@]*)(:\d{1,5})?([/?].*)?"
)
"""SQLAlchemy passes over what follows a URL; we do not."""
_FILE: Final = re.compile(r"sqlite:///([^?#@%\[\]\x00-\x1f\x7f]+)")
_NO_URL: Final = "not a SQLAlchemy URL (dialect+driver://user@host/name)"


class _File(NamedTuple):
    """The parts of a plain file's URL, named as SQLAlchemy's."""

    database: str
    drivername: str = "sqlite"
    username: None = None
    password: None = None
    host: None = None
    port: None = None

    @property
    def query(self) -> dict[str, Any]:
        """No options."""
        return {}


def plain_file(url: str) -> str | None:
    """Path of the file in a URL that could not be plainer; None for any other."""
    found = _FILE.fullmatch(url)
    return found[1] if found else None


def parsed(url: str) -> URL | _File:
    """The parts of a SQLAlchemy URL.

    Raises:
        ValueError: It is none; the message holds nothing of it.
    """
    if path := plain_file(url):
        return _File(path)
    from sqlalchemy import make_url  # noqa: PLC0415 - importing us must stay cheap
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415 - as above

    try:
        return make_url(url)
    except (ArgumentError, ValueError, TypeError):
        pass  # left before raising: their messages quote parts of the URL
    raise ValueError(_NO_URL)


def check_url(url: str) -> None:
    """Refuse a URL that holds a password or an option that is not on the list.

    Raises:
        ValueError: Says what is wrong; the message holds nothing of the URL.
    """
    if _CONTROL.search(url):
        raise ValueError("holds a control character")
    parts = parsed(url)
    if parts.password is not None or ":" in (parts.username or ""):
        raise ValueError("holds a password; use password = 'env:NAME' instead")
    if not _SHAPE.fullmatch(url):
        raise ValueError(_NO_URL)
    _check_query(url)
    names = [parts.username] if is_file(url) else [parts.username, parts.database]
    if not all(_NAME.fullmatch(name or "") for name in names):
        raise ValueError("user and database may hold none of : ; = ( ) { }")
    if not _HOST.fullmatch(parts.host or ""):
        raise ValueError("the host is neither a name nor an address")


def _check_query(url: str) -> None:
    """By the text itself: SQLAlchemy passes over options without a value."""
    _, mark, query = url.partition("?")
    if not mark:
        return
    socket = SOCKET_OPTIONS.get(backend(url))
    allowed = OPTIONS.get(backend(url), frozenset()) | ({socket} if socket else set())
    seen: set[str] = set()
    for part in query.split("&"):
        name, value = (parse_qsl(part, keep_blank_values=True) or [("", "")])[0]
        if name not in allowed or name in seen:
            listed = ", ".join(sorted(allowed)) or "none"
            raise ValueError(f"carries driver options; allowed here: {listed}, once")
        if not _VALUE.fullmatch(value) or (name == socket and value[0] != "/"):
            raise ValueError(f"the option {name} has a value that is not allowed")
        seen.add(name)


def backend(url: str) -> str:
    """Name of the database family: ``mariadb`` counts as ``mysql``."""
    name = parsed(url).drivername.partition("+")[0].lower()
    return "mysql" if name == "mariadb" else name


def is_file(url: str) -> bool:
    """Whether the database is a local file."""
    return backend(url) == "sqlite"


def socket_path(url: str) -> str | None:
    """Path of the local socket the URL names, if it names one."""
    found = parsed(url).query.get(SOCKET_OPTIONS.get(backend(url), ""))
    return found if isinstance(found, str) and found.startswith("/") else None


def address(url: str) -> tuple[str, int] | None:
    """Host and port that the URL makes us dial; None for files and sockets."""
    if is_file(url) or socket_path(url):
        return None
    parts = parsed(url)
    port = parts.port or PORTS.get(backend(url))
    if not parts.host or port is None:
        return None
    return parts.host.lower(), port


def database_name(url: str) -> str:
    """The database's name (or a SQLite file's path)."""
    return parsed(url).database or ""


def user_name(url: str) -> str | None:
    """The account in the URL."""
    return parsed(url).username or None
