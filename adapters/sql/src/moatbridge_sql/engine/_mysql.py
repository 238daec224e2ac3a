"""MariaDB and MySQL through PyMySQL.

Sources: MariaDB knowledge base (``max_statement_time``, ``sql_mode``, ``SHOW GRANTS``);
MySQL manual (``max_execution_time``, ``ON DUPLICATE KEY UPDATE``).
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from moatbridge_sql._database import ServerFacts
from moatbridge_sql._faults import Fault, by_class, by_mysql_number
from moatbridge_sql.engine._dialect import RAW, GenericDialect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from moatbridge_sql._config import SqlConfig
    from moatbridge_sql._schema import Column, Table

STRICT: Final = (
    "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO"
)
_FACTS: Final = sa.text(
    "SELECT CURRENT_USER(), VERSION(), @@hostname, @@port, @@server_id, DATABASE()"
)
_MYSQL_IDENTITY: Final = sa.text("SELECT @@server_uuid")
_GRANTS: Final = sa.text("SHOW GRANTS")
_TABLES: Final = sa.text(
    "SELECT t.table_schema, t.table_name, t.engine, t.table_rows,"
    " t.table_schema = DATABASE() FROM information_schema.tables t"
    " WHERE t.table_schema NOT IN ('mysql', 'performance_schema', 'sys')"
)
_CLOCK: Final = sa.text(
    "SELECT COALESCE(CONVERT_TZ(UTC_TIMESTAMP(6), '+00:00', @@global.time_zone),"
    " UTC_TIMESTAMP(6)), UTC_TIMESTAMP(6)"
)
_COLUMNS: Final = sa.text(
    "SELECT table_schema, table_name, column_name, collation_name, data_type, extra,"
    " table_schema = DATABASE() FROM information_schema.columns"
    " WHERE table_schema NOT IN ('mysql', 'performance_schema', 'sys',"
    " 'information_schema')"
)
_WRITES: Final = re.compile(
    r"GRANT (?P<rights>.*) ON (?P<schema>\S+)\.(?P<table>\S+) TO ", re.IGNORECASE
)
_NARROW: Final = frozenset(
    {"latin1", "latin2", "latin5", "latin7", "ascii", "cp1250", "cp1251", "cp1256",
     "cp1257", "cp850", "cp852", "cp866", "greek", "hebrew", "koi8r", "koi8u", "macce",
     "macroman", "hp8", "dec8", "swe7", "sjis", "cp932", "ujis", "eucjpms", "euckr",
     "gb2312", "gbk", "big5", "tis620", "ucs2", "utf8", "utf8mb3"}
)  # fmt: skip
"""Character sets that lack characters of utf8mb4."""
_ROLLS_BACK: Final = frozenset({"innodb", "rocksdb", "ndbcluster", "tokudb"})


class MysqlDialect(GenericDialect):
    """Refinements for MariaDB 10.4 and MySQL 8 and later."""

    loose: ClassVar[bool] = False
    enforces_timeout: ClassVar[bool] = True
    locks: ClassVar[bool] = True
    write_isolation: ClassVar[Any] = "REPEATABLE READ"
    missing: ClassVar[tuple[str, ...]] = ("row comparison",)

    def __init__(self, config: SqlConfig, *, read_only: bool) -> None:
        super().__init__(config, read_only=read_only)
        self._grants: list[str] = []

    def prepare(self, connection: sa.Connection) -> ServerFacts:
        """Session settings, then who we are."""
        mariadb = bool(getattr(connection.dialect, "is_mariadb", False))
        connection.exec_driver_sql(self._settings(mariadb=mariadb))
        if self.read_only:
            connection.exec_driver_sql("SET SESSION TRANSACTION READ ONLY")
        row = connection.execute(_FACTS).one()
        self._grants = [str(grant[0]) for grant in connection.execute(_GRANTS)]
        identity = f"mariadb:{row[2]}:{row[3]}:{row[4]}:{row[5]}"
        if not mariadb:
            identity = f"mysql:{connection.execute(_MYSQL_IDENTITY).scalar()}:{row[5]}"
        product = f"{'MariaDB' if mariadb else 'MySQL'} {row[1]}"
        return ServerFacts(
            identity, product, str(row[0]), self._privileges(), missing=self.missing
        )

    def _settings(self, *, mariadb: bool) -> str:
        limit = (
            f"max_statement_time={self.config.statement_timeout:g}"
            if mariadb
            else f"max_execution_time={int(self.config.statement_timeout * 1000)}"
        )
        settings = [
            limit,
            f"innodb_lock_wait_timeout={max(1, int(self.config.lock_timeout))}",
            "time_zone='+00:00'",
        ]
        if not self.read_only:
            settings.append(f"sql_mode='{STRICT}'")
        return "SET SESSION " + ", ".join(settings)

    def _privileges(self) -> tuple[str, ...]:
        found = []
        if any("ALL PRIVILEGES ON *.*" in grant for grant in self._grants):
            found.append("ALL PRIVILEGES ON *.*")
        if any("WITH GRANT OPTION" in grant for grant in self._grants):
            found.append("GRANT OPTION")
        return tuple(found)

    def refine(
        self, connection: sa.Connection, tables: Mapping[str, Table]
    ) -> dict[str, Table]:
        """Storage engines, collations, and generated columns."""
        engines: dict[tuple[str, str], str] = {}
        for schema, name, engine, _, here in connection.execute(_TABLES):
            engines[schema, name] = (engine or "innodb").casefold()
            if here:
                engines["", name] = engines[schema, name]
        columns: dict[tuple[str, str, str], tuple[Any, ...]] = {}
        for schema, name, column, *facts, here in connection.execute(_COLUMNS):
            columns[schema, name, column] = tuple(facts)
            if here:
                columns["", name, column] = tuple(facts)
        return {
            key: replace(
                table,
                transactional=engines.get((table.schema or "", table.name), "innodb")
                in _ROLLS_BACK,
                columns=tuple(
                    _refined(c, columns.get((table.schema or "", table.name, c.name)))
                    for c in table.columns
                ),
            )
            for key, table in tables.items()
        }

    def estimates(self, connection: sa.Connection) -> dict[tuple[str, str], int]:
        """``information_schema.tables.table_rows``."""
        found: dict[tuple[str, str], int] = {}
        for schema, name, _, rows, here in connection.execute(_TABLES):
            if rows is not None:
                found[schema, name] = int(rows)
                if here:
                    found["", name] = int(rows)
        return found

    def may_write(self, connection: sa.Connection, table: Table) -> bool | None:
        """From ``SHOW GRANTS``: a right on everything, the schema or the table."""
        schema = table.schema or connection.dialect.default_schema_name
        return any(_grants_write(grant, schema, table.name) for grant in self._grants)

    # --- values ------------------------------------------------------------------

    def bound(self, column: Column, expression: Any, value: Any) -> Any:
        """The plain value: a cast would cost the index."""
        del expression
        parameter = sa.bindparam(None, self.adapt(column, value), type_=RAW)
        if isinstance(value, str) and not value.isascii() and column.native in _NARROW:
            # characters that the column cannot hold would fail a whole IN (1271);
            # converted they match nothing but "?", which is compared again in code
            return sa.cast(parameter, mysql.CHAR(charset=column.native))
        return parameter

    def parameter(self, column: Column, expression: Any, name: str) -> Any:
        """The same for executemany."""
        del column, expression
        return sa.bindparam(name, type_=RAW)

    def adapt(self, column: Column, value: Any) -> Any:
        """PyMySQL drops the zone of a date-time, so it is turned into UTC before."""
        if column.kind == "any" and isinstance(value, bool):
            return int(value)
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(_UTC).replace(tzinfo=None)
        return value

    def selected(self, column: Column, expression: Any, *, as_text: bool) -> Any:
        """Raw bytes where the database lies about its encoding."""
        if self.config.text_encoding and column.kind in ("text", "char"):
            expression = sa.cast(expression, mysql.BINARY())
        elif as_text:
            expression = sa.cast(expression, sa.CHAR(64))
        return sa.type_coerce(expression, RAW)

    def cursor_text(self, column: Column, expression: Any) -> Any:
        """``CAST(cursor AS CHAR)``: exact."""
        del column
        return sa.type_coerce(sa.cast(expression, sa.CHAR(64)), RAW)

    def cursor_bound(self, column: Column, expression: Any, text: str) -> Any:
        """Constants are converted to the column's type by the server itself."""
        if column.kind in ("int", "decimal"):
            return sa.cast(sa.bindparam(None, text, type_=RAW), sa.Numeric(65, 10))
        return self.bound(column, expression, text)

    def clock(self, connection: sa.Connection, column: Column) -> datetime | None:
        """TIMESTAMP follows our session (UTC), DATETIME the server's own zone."""
        local, utc = connection.execute(_CLOCK).one()
        zone = self.config.zone
        if column.native == "timestamp":
            return _moment(utc)
        if zone is not None:
            return (
                _moment(utc).replace(tzinfo=_UTC).astimezone(zone).replace(tzinfo=None)
            )
        return _moment(local)

    # --- writing -------------------------------------------------------------------

    def can_upsert(self, table: Table, match: Sequence[str]) -> bool:
        """``ON DUPLICATE KEY`` fires on *any* unique index: there must be just one."""
        only = len({frozenset(found) for found in table.uniques}) == 1
        if any("%" in column.name for column in table.columns):
            return False  # PyMySQL's bulk insert does not unescape it behind VALUES
        exact = set(table.uniques[0]) == set(match) if table.uniques else False
        return only and exact and not any(column.serial for column in table.columns)

    def upsert(
        self, table: sa.Table, match: Sequence[str], names: Sequence[str]
    ) -> Any:
        """``INSERT ... ON DUPLICATE KEY UPDATE`` (PyMySQL sends it in bulk)."""
        statement = mysql.insert(table).values(
            {name: sa.bindparam(f"v{name}", type_=RAW) for name in names}
        )
        free = [name for name in names if name not in match] or list(match[:1])
        return statement.on_duplicate_key_update(
            {table.c[name]: statement.inserted[name] for name in free}
        )

    # --- failures --------------------------------------------------------------------

    def fault(self, error: Exception, names: Callable[[str], bool]) -> Fault:
        """By error number; names are kept only if the catalogue knows them."""
        original = getattr(error, "orig", None) or error
        arguments = getattr(original, "args", ())
        lost = bool(getattr(error, "connection_invalidated", False))
        number = arguments[0] if arguments and isinstance(arguments[0], int) else None
        if isinstance(original, UnicodeDecodeError):  # the rest of the result is unread
            return Fault("unreachable", "UnicodeDecodeError", lost=True)
        if number is None or not hasattr(original, "with_traceback"):
            return super().fault(error, names)
        if number == 0:
            return Fault("unreachable", type(original).__name__, lost=True)
        kind = by_mysql_number(number)
        if kind == "unmapped":
            kind = by_class(type(original).__name__)
        text = str(list(arguments)[-1])
        quoted = [name for name in re.findall(r"['`]([^'`]*)['`]", text) if names(name)]
        column = quoted[-1] if quoted and kind in ("value", "constraint") else None
        return Fault(kind, str(number), column=column, lost=lost)


_UTC: Final = UTC


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))


def _refined(column: Column, found: tuple[Any, ...] | None) -> Column:
    if found is None:
        return column
    collation, type_, extra = found
    name = (collation or "").casefold()
    return replace(
        column,
        native=name.partition("_")[0] if name else str(type_).casefold(),
        folded=bool(name) and not name.endswith("_bin"),
        padded=bool(name) and "nopad" not in name and "0900" not in name,
        generated=column.generated or "GENERATED" in str(extra).upper().split(),
    )


def _grants_write(grant: str, schema: str | None, table: str) -> bool:
    found = _WRITES.match(grant)
    if not found:
        return False
    rights = found["rights"].upper()
    held = {right.strip().split(" (")[0] for right in rights.split(",")}
    place = [found[part].strip("`").replace("\\", "") for part in ("schema", "table")]
    here = place[0] in ("*", schema) and place[1] in ("*", table)
    return here and bool(held & {"ALL PRIVILEGES", "INSERT", "UPDATE", "DELETE"})
