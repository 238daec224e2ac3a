"""Which driver dials: ours for three databases, SQLAlchemy's own for any other.

A driver's defaults are never trusted; see the three modules for what is passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from moatbridge.errors import ConfigurationError
from moatbridge_sql import _url

if TYPE_CHECKING:
    from moatbridge.adapter import Net
    from moatbridge_sql._config import SqlConfig


_PACKAGES: Final = {"MySQLdb": "mysqlclient"}
"""Module of a driver -> package that brings it, where the names differ."""


def engine(url: sa.URL, **options: Any) -> sa.Engine:
    """SQLAlchemy's engine; what it must load may not be installed.

    Raises:
        ConfigurationError: ``sql.no-driver``.
    """
    try:
        return sa.create_engine(url, **options)
    except sa.exc.NoSuchModuleError:
        words = f"No installed package speaks to '{url.drivername}'; check the word "
        words += "before :// in url, or install its SQLAlchemy dialect."
    except ImportError as error:
        package = _PACKAGES.get(error.name or "", error.name)
        words = f"The driver of '{url.drivername}' is not installed: pip install "
        words += f"{package}."
    raise ConfigurationError(words, code="sql.no-driver")


def connect(config: SqlConfig, net: Net, *, read_only: bool) -> Any:
    """Open a driver connection, or return None where SQLAlchemy must dial itself.

    Raises:
        ConfigurationError: TLS not as configured, file missing, environment in the way.
        NotApplied: Unreachable now.
        FaultError: Whatever the server answered.
    """
    match _url.backend(config.url):
        case "postgresql":
            from moatbridge_sql.engine import _libpq  # noqa: PLC0415 - loads a driver

            return _libpq.connect(config, net, read_only=read_only)
        case "mysql":
            from moatbridge_sql.engine import _pymysql  # noqa: PLC0415 - loads a driver

            return _pymysql.connect(config, net)
        case "sqlite":
            from moatbridge_sql.engine import _sqlite_file  # noqa: PLC0415 - one of three

            return _sqlite_file.connect(config, read_only=read_only)
        case _:
            return None


def check_cleartext(config: SqlConfig) -> None:
    """A driver we do not know cannot be made to verify TLS.

    Raises:
        ConfigurationError: ``net.tls.unknown-driver``.
    """
    if not config.insecure_cleartext:
        raise ConfigurationError(
            "TLS of this driver cannot be checked; if the connection is protected "
            "otherwise, say so with insecure_cleartext = true.",
            code="net.tls.unknown-driver",
        )
