"""What went wrong, told by numbers: SQLSTATE, error number, result code (sql 5).

A server's own text quotes values ("Failing row contains ..."), so none of it is ever
kept: a `Fault` holds codes and names from the catalogue only.
Sources: PostgreSQL manual, appendix A; MariaDB and MySQL error references; SQLite
result codes; the DB-API's exception classes for everything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from moatbridge.errors import ConfigurationError, MoatbridgeError, NotApplied, Rejected

FaultKind = Literal[
    "unreachable", "auth", "tls", "rights", "schema", "busy", "full", "corrupt",
    "constraint", "value", "rule", "decode", "statement", "unmapped",
]  # fmt: skip

ROW_FAULTS: Final = frozenset({"constraint", "value", "rule", "decode"})
"""Faults that one row of a batch causes; the others concern all of it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure, without any text of the server.

    Args:
        kind: How to recover.
        state: SQLSTATE, number or class name.
        constraint: Name from the catalogue.
        column: Name from the catalogue.
        lost: The connection is gone.
    """

    kind: FaultKind
    state: str = ""
    constraint: str | None = None
    column: str | None = None
    lost: bool = False

    @property
    def code(self) -> str:
        """Stable code: ``sql.constraint`` and so on."""
        return _CODES[self.kind]


class FaultError(Exception):
    """Carries a `Fault` inside the package; never leaves it."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.code)
        self.fault = fault


_CODES: Final[dict[FaultKind, str]] = {
    "unreachable": "sql.unreachable",
    "auth": "sql.auth",
    "tls": "net.tls.server",
    "rights": "sql.rights",
    "schema": "sql.schema-changed",
    "busy": "sql.busy",
    "full": "sql.full",
    "corrupt": "sql.corrupt",
    "constraint": "sql.constraint",
    "value": "sql.value",
    "rule": "sql.rule",
    "decode": "sql.value",
    "statement": "sql.statement",
    "unmapped": "sql.unmapped",
}

_WORDS: Final[dict[FaultKind, str]] = {
    "unreachable": "The database cannot be reached, or hung up; check the host "
    "and port in url, and that it is up",
    "auth": "The database refused the account, the password or the database name; "
    "check url and password",
    "tls": "TLS with the database server failed; check tls.ca_file, the host name in "
    "url, and that the server offers TLS",
    "rights": "The account lacks a right that the stream needs; grant it",
    "schema": "A table or column in use is gone or was changed; run check",
    "busy": "The database was busy (timeout, lock, deadlock or serialization)",
    "full": "The database is out of space or has an I/O fault",
    "corrupt": "The database says that its file is damaged or is no database",
    "constraint": "A constraint refused the row",
    "value": "A value does not fit its column",
    "rule": "A rule of the database's own (trigger) refused the row",
    "decode": "A value cannot be decoded",
    "statement": "The database does not understand a statement it should; it may only "
    "resemble its dialect: try dialect_mode = 'generic'",
    "unmapped": "The database reported an error that has no mapping yet",
}

_NO_ACCOUNT: Final = (
    "The database knows no such account, or the password is wrong; check the account "
    "in url and password"
)
_NO_DATABASE: Final = (
    "The server has no database of that name; check the word after the last / in url"
)
_FINER: Final[dict[str, str]] = {
    "28P01": _NO_ACCOUNT,
    "1045": _NO_ACCOUNT,
    "3D000": _NO_DATABASE,
    "1049": _NO_DATABASE,
    "pg_hba": "The server lets this account into this database from no such host; ask "
    "its administrator for an entry in pg_hba.conf",
    "no-tls": "The database server offers no TLS; turn it on there, or set "
    "insecure_cleartext = true if the connection never leaves your own machine",
}
"""States that say more than their kind: what a newcomer most often gets wrong."""

_STATES: Final[dict[str, FaultKind]] = {
    "08P01": "statement",
    "53300": "unreachable",
    "57P01": "unreachable",
    "57P02": "unreachable",
    "57P03": "unreachable",
    "3D000": "auth",
    "42501": "rights",
    "25006": "rights",
    "42P01": "schema",
    "42703": "schema",
    "3F000": "schema",
    "57014": "busy",
    "55P03": "busy",
    "55006": "busy",
    "40P01": "busy",
    "40001": "busy",
    "25P03": "busy",
    "53100": "full",
    "58030": "full",
    "53200": "full",
    "XX001": "corrupt",
    "XX002": "corrupt",
    "P0001": "rule",
    "45000": "rule",
    "44000": "constraint",
    "21000": "constraint",
}
_CLASSES: Final[dict[str, FaultKind]] = {
    "08": "unreachable",
    "28": "auth",
    "22": "value",
    "23": "constraint",
    "42": "statement",
    "53": "busy",
    "40": "busy",
}


def by_sqlstate(state: str) -> FaultKind:
    """Recovery for a SQLSTATE: the exact code first, then its class."""
    return _STATES.get(state) or _CLASSES.get(state[:2], "unmapped")


_NUMBERS: Final[dict[FaultKind, tuple[int, ...]]] = {
    "unreachable": (1040, 1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1203, 1226,
                    1927, 2002, 2003, 2006, 2013, 2014, 2027, 2055),
    "auth": (1044, 1045, 1049, 1130, 1251, 1698, 1820, 1862, 2059, 4151),
    "tls": (2026, 3159),
    "rights": (1142, 1143, 1227, 1290, 1370, 1792, 1836),
    "schema": (1051, 1054, 1146, 1356),
    "busy": (1205, 1213, 1317, 1969, 3024, 3572),
    "full": (1021, 1030, 1041, 1114, 3, 28),
    "corrupt": (1033, 1034, 1194, 1195),
    "constraint": (1022, 1048, 1062, 1169, 1216, 1217, 1364, 1451, 1452, 1557, 1586,
                   1761, 1762, 3819, 4025),
    "value": (1264, 1265, 1267, 1270, 1271, 1292, 1366, 1367, 1406, 1411, 1425,
              1690, 3140, 4078),
    "rule": (1644,),
    "statement": (1064, 1149, 1235, 1305),
}  # fmt: skip
_BY_NUMBER: Final[dict[int, FaultKind]] = {
    number: kind for kind, numbers in _NUMBERS.items() for number in numbers
}


def by_mysql_number(number: int) -> FaultKind:
    """Recovery for an error number of MariaDB or MySQL."""
    return _BY_NUMBER.get(number, "unmapped")


_SQLITE: Final[dict[int, FaultKind]] = {
    3: "rights", 5: "busy", 6: "busy", 8: "rights", 9: "busy", 10: "full",
    11: "corrupt", 13: "full", 14: "unreachable", 17: "schema", 18: "value",
    19: "constraint", 20: "value", 23: "rights", 26: "corrupt",
}  # fmt: skip
SQLITE_TRIGGER: Final = 1811


def by_sqlite_code(code: int) -> FaultKind:
    """Recovery for a SQLite result code (extended codes included)."""
    if code == SQLITE_TRIGGER:
        return "rule"
    return _SQLITE.get(code & 0xFF, "unmapped")


def by_class(name: str) -> FaultKind:
    """Recovery for a DB-API exception class, where nothing better is known."""
    return {
        "IntegrityError": "constraint",
        "DataError": "value",
        "ProgrammingError": "statement",
        "NotSupportedError": "statement",
    }.get(name, "unmapped")  # type: ignore[return-value] # values are kinds


def error_of(fault: Fault, **where: Any) -> MoatbridgeError:
    """The public error for a fault that concerns a whole call.

    The message names codes and catalogue names only; nothing is chained.
    """
    place = "".join(
        f", {what} {name}"
        for what, name in (("constraint", fault.constraint), ("column", fault.column))
        if name
    )
    state = f" ({fault.state}{place})" if fault.state or place else ""
    words = _FINER.get(fault.state, _WORDS[fault.kind])
    message = f"{words}{state}."
    more = {"code": fault.code, **where}
    if fault.kind == "full":
        return NotApplied(message, retry_after=60.0, **more)
    if fault.kind in ("unreachable", "busy", "unmapped"):  # when, the core decides
        return NotApplied(message, **more)
    if fault.kind in ROW_FAULTS:
        kind: Literal["conflict", "data"] = (
            "conflict" if fault.kind == "constraint" else "data"
        )
        return Rejected(message, kind=kind, **more)
    return ConfigurationError(message, **more)
