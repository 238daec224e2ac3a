"""The only package that knows SQLAlchemy and the drivers; implements the port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moatbridge_sql import _url

if TYPE_CHECKING:
    from moatbridge.adapter import Net
    from moatbridge_sql._config import SqlConfig
    from moatbridge_sql._database import Database

__all__ = ["open_database"]


def open_database(config: SqlConfig, net: Net, *, read_only: bool) -> Database:
    """Connect, check the account, and set the session up.

    Raises:
        ConfigurationError: Refused, TLS, file, privileged account.
        NotApplied: Unreachable now.
    """
    if read_only and _plain(config):
        from moatbridge_sql.engine._sqlite_plain import PlainSession  # noqa: PLC0415 - one of two

        return PlainSession(config, net)
    from moatbridge_sql.engine import _session  # noqa: PLC0415 - brings SQLAlchemy

    return _session.open_database(config, net, read_only=read_only)


def _plain(config: SqlConfig) -> bool:
    """Whether it is a file that can be read without SQLAlchemy."""
    ordinary = not (config.schemas or config.text_encoding)
    ordinary = ordinary and config.dialect_mode != "generic"
    return ordinary and _url.plain_file(config.url) is not None
