"""moatbridge, embedded: which adapters there are, and one bridge for each company.

A company names hosts that we dial from inside our own network. So its adapters reach
public addresses only: the core resolves each name, refuses what lies in a private or
special network, and dials nothing but the hosts in the company's own settings.
"""

from __future__ import annotations

import base64
import re
import secrets
import threading
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from commons import place, store
from commons.connection import SQLITE, Connection
from moatbridge import Bridge, ConfigurationError, Registry
from moatbridge.config import RedactionFilter, Redactor, parse, settings_schema
from moatbridge_ldap import LdapAdapter
from moatbridge_sql import SqlAdapter

if TYPE_CHECKING:
    import logging

NAMES = {"ldap": "Directory (LDAP)", "sql": "Database (SQL)"}
ABOUT = {
    "ldap": "Active Directory, OpenLDAP, 389 and other directories.",
    "sql": "A table or view with your people in PostgreSQL or MariaDB.",
}
RISKY = frozenset({"insecure_cleartext", "allow_privileged"})
"""Settings that only somebody who practises may use."""

_SERVER = {
    "ldap": re.compile(r"ldaps?://[^/?@]+/?"),
    "sql": re.compile(
        r"(postgresql|mysql|mariadb)(\+\w+)?://([^/?@]+@)?[^/?@:]+(:\d+)?/\w+"
    ),
}
_SUCH_AS = {
    "ldap": "ldaps://ldap.example.com",
    "sql": "postgresql+psycopg://account@db.example.com/hr",
}


class CompanyLdap(LdapAdapter):
    """A directory out on the internet."""

    reach: ClassVar[Literal["inside", "outside"]] = "outside"


class CompanySql(SqlAdapter):
    """A database out on the internet."""

    reach: ClassVar[Literal["inside", "outside"]] = "outside"


REGISTRY = Registry(discover=False)
REGISTRY.register("ldap", CompanyLdap)
REGISTRY.register("sql", CompanySql)
REGISTRY.register("commons", SqlAdapter)  # our own file of people

REDACTOR = Redactor()
_open: dict[str, Bridge] = {}
_lock = threading.Lock()


def schema(adapter: str) -> dict[str, Any]:
    """What an adapter wants to know, as JSON Schema."""
    found = settings_schema(REGISTRY.get(adapter).Config)
    if place.practice() is None:
        for name in RISKY:
            found["properties"].pop(name, None)
    return found


def check_settings(company: str, connection: Connection) -> None:
    """Everything that is wrong with the settings, at once; nothing is dialled.

    Raises:
        ConfigurationError: One line a setting; its text never holds a value.
    """
    _config(company, connection)
    _refuse_own_files(connection)


def bridge(company: str) -> Bridge:
    """The company's bridge, opened once and kept.

    Raises:
        ConfigurationError: The connection is not complete, or not allowed.
    """
    with _lock:
        if company not in _open:
            connection = Connection.of(company)
            check_settings(company, connection)
            store.people(company)  # the file that is written to
            config = _config(company, connection)
            _open[company] = Bridge(config, registry=REGISTRY, redactor=REDACTOR)
        return _open[company]


def close(company: str) -> None:
    """Let go of it; the next one has the new settings."""
    with _lock:
        found = _open.pop(company, None)
    if found is not None:
        found.close()


def close_all() -> None:
    """At the end of the process."""
    for company in list(_open):
        close(company)


def keep_secrets_out(logger: logging.Logger) -> None:
    """No secret that was ever used stands in what this logger's handlers write."""
    for handler in logger.handlers:
        handler.addFilter(RedactionFilter(REDACTOR))


def _config(company: str, connection: Connection) -> Any:
    folder = place.of_company(company)
    key = folder / "ledger-key"
    if not key.exists():
        place.keep(key, base64.b64encode(secrets.token_bytes(32)).decode())
    tables = connection.tables(company, place.practice())
    return parse(tables, REGISTRY, base=folder, name="the settings")


def _refuse_own_files(connection: Connection) -> None:
    """A file or a socket of this machine is nothing that a company may name."""
    name = "urls" if "urls" in connection.settings else "url"
    given = connection.settings.get(name, "")
    kind = connection.adapter
    for url in given if name == "urls" else [given]:
        if not _SERVER[kind].fullmatch(url) and not _to_practise(url):
            words = f"must be the address of a server, such as {_SUCH_AS[kind]}"
            raise ConfigurationError(
                f"1 problem:\n  systems.company.{name}: {words}", code="commons.address"
            )


def _to_practise(url: str) -> bool:
    folder = place.practice()
    file = url.removeprefix(SQLITE)
    if folder is None or file == url:
        return False
    return (folder / file).resolve().is_relative_to(folder)
